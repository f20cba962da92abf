package sqlite

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the database to the newest form, one transaction per step.
// The number of the last one is in the file's header (user_version). A file of
// a newer program is refused.
func migrate(c *conn) error {
	steps, err := stepNames()
	if err != nil {
		return err
	}
	if err := c.script("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := migrateWithin(c, steps); err != nil {
		_ = c.script("ROLLBACK")
		return err
	}
	return c.script("COMMIT")
}

func migrateWithin(c *conn, steps []string) error {
	have, err := c.one("PRAGMA user_version")
	if err != nil {
		return err
	}
	newest := int64(0)
	for _, step := range steps {
		number, err := stepNumber(step)
		if err != nil {
			return err
		}
		newest = number
		if number <= have.int(0) {
			continue
		}
		text, err := migrations.ReadFile(step)
		if err != nil {
			return err
		}
		if err := c.script(string(text)); err != nil {
			return fmt.Errorf("migration %s: %w", step, err)
		}
		if err := c.script(fmt.Sprintf("PRAGMA user_version = %d", number)); err != nil {
			return fmt.Errorf("migration %s: %w", step, err)
		}
	}
	if have.int(0) > newest {
		return fmt.Errorf("the database has form %d and this program knows %d: it was written by a newer program", have.int(0), newest)
	}
	return nil
}

// stepNames are the migrations' files, in order.
func stepNames() ([]string, error) {
	steps, err := fs.Glob(migrations, "migrations/*.sql")
	slices.Sort(steps)
	return steps, err
}

// stepNumber is the number that a migration's file begins with.
func stepNumber(step string) (int64, error) {
	digits, _, _ := strings.Cut(strings.TrimPrefix(step, "migrations/"), "_")
	number, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("migration %s: %w", step, err)
	}
	return number, nil
}
