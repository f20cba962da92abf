package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"armada/internal/doctor"
)

// logWarning is from which size on the log beside the file is told of: four times
// what the writer lets it grow to.
const logWarning = 4 * defaultMaxLog

// Examine looks at a file, whether a process serves it or not, and changes
// nothing in it. Looking at all of its pages takes a second for each gigabyte or more.
func Examine(ctx context.Context, path string) []doctor.Check {
	const file, form, restored = "database file", "migrations", "restored"
	tell := func(c doctor.Check) []doctor.Check {
		return []doctor.Check{c, examineLog(path), doctor.Unknown(form, "the file could not be read"), doctor.Unknown(restored, "the file could not be read")}
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return []doctor.Check{doctor.Good(file, "there is no %s", path).Warn("start armada up, which makes it, or name another folder with --data-dir")}
	} else if err != nil {
		return tell(doctor.Good(file, "%v", err).Fail("run this as the user who runs armada"))
	}
	c, err := connectReadOnly(path)
	if err != nil {
		return tell(doctor.Good(file, "it cannot be opened: %v", err).Fail("run this as the user who runs armada; if it is damaged, put back a copy of it"))
	}
	defer func() { _ = c.close() }()
	broken, pages, err := integrity(ctx, c)
	switch {
	case err != nil:
		return tell(doctor.Good(file, "it cannot be read: %v", err).Fail("put back a copy of it, and type armada restored"))
	case broken != "":
		return tell(doctor.Good(file, "it is damaged: %s", broken).Fail("put back a copy of it, and type armada restored"))
	}
	return []doctor.Check{doctor.Good(file, "its %d pages are whole", pages), examineLog(path), examineForm(c, form), examineHold(c, restored)}
}

// integrity tells what is broken, "" for nothing, and how many pages there are.
func integrity(ctx context.Context, c *conn) (broken string, pages int64, err error) {
	if err := ctx.Err(); err != nil {
		return "", 0, err
	}
	r, err := c.one("PRAGMA page_count")
	if err != nil {
		return "", 0, err
	}
	pages = r.int(0)
	if r, err = c.one("PRAGMA quick_check(1)"); err == nil && r.str(0) != "ok" {
		broken = r.str(0)
	}
	return broken, pages, err
}

func examineLog(path string) doctor.Check {
	const name = "write-ahead log"
	info, err := os.Stat(path + "-wal")
	if err != nil {
		return doctor.Good(name, "there is none")
	}
	c := doctor.Good(name, "%d MiB", info.Size()>>20)
	if info.Size() > logWarning {
		c = c.Warn("something reads the file without end, such as an open sqlite3: end it; the log is then written back in passing")
	}
	return c
}

func examineForm(c *conn, name string) doctor.Check {
	have, err := c.one("PRAGMA user_version")
	if err != nil {
		return doctor.Unknown(name, "%v", err)
	}
	newest, err := newestForm()
	switch form := have.int(0); {
	case err != nil:
		return doctor.Unknown(name, "%v", err)
	case form > newest:
		return doctor.Good(name, "the file has form %d and this program knows %d", form, newest).Fail("install the newer program that wrote it")
	case form < newest:
		return doctor.Good(name, "the file has form %d and this program has form %d", form, newest).Warn("armada up of this program makes the missing migrations when it starts")
	default:
		return doctor.Good(name, "the file has form %d, as this program", form)
	}
}

func examineHold(c *conn, name string) doctor.Check {
	r, err := c.one("SELECT lives, held FROM restoration")
	if err != nil {
		return doctor.Unknown(name, "%v", err)
	}
	switch left := time.Until(fromMicros(r.int(1))); {
	case left > 0:
		return doctor.Good(name, "nothing is started for another %s, or until what this database does not know was stopped", left.Round(time.Second)).Warn("wait")
	case r.int(0) > 0:
		return doctor.Good(name, "%d times from a copy, and all is settled", r.int(0))
	default:
		return doctor.Good(name, "never")
	}
}

// newestForm is the number of the last migration.
func newestForm() (int64, error) {
	steps, err := stepNames()
	if err != nil {
		return 0, err
	}
	return stepNumber(steps[len(steps)-1])
}

// connectReadOnly opens a file that is there, for reading.
func connectReadOnly(path string) (*conn, error) {
	c, err := connectAs(path, "ro", "busy_timeout(10000)", "query_only(1)")
	if err != nil {
		return nil, fmt.Errorf("open for reading: %w", err)
	}
	return c, nil
}
