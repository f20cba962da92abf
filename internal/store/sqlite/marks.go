package sqlite

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"armada"
	"armada/internal/store/codec"
	"armada/internal/store/listing"
)

// markKeys are the rows of the names that jobs are marked with, and those of them
// with which new jobs are.
type markKeys struct {
	ids     map[string]int64
	present []string
}

func readMarkKeys(c *conn) (markKeys, error) {
	keys := markKeys{ids: map[string]int64{}}
	err := c.each("SELECT id, name, since FROM mark_key ORDER BY name", func(r row) error {
		keys.ids[r.str(1)] = r.int(0)
		if r[2] != nil {
			keys.present = append(keys.present, r.str(1))
		}
		return nil
	})
	return keys, err
}

// declareMarks begins to mark jobs with the names, from the next one on, and ends it
// for others. What older jobs are marked with goes when they do.
func declareMarks(c *conn, names []string) error {
	known, err := readMarkKeys(c)
	if err != nil || slices.Equal(known.present, names) {
		return err
	}
	for _, name := range known.present {
		if !slices.Contains(names, name) {
			if _, err := c.exec("UPDATE mark_key SET since = NULL WHERE name = ?", name); err != nil {
				return fmt.Errorf("forget an indexed annotation: %w", err)
			}
		}
	}
	const next = "(SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = 'job')"
	for _, name := range names {
		if !slices.Contains(known.present, name) {
			if _, err := c.exec("INSERT INTO mark_key (name, since) VALUES (?, "+next+") ON CONFLICT DO UPDATE SET since = "+next, name); err != nil {
				return fmt.Errorf("declare an indexed annotation: %w", err)
			}
		}
	}
	return nil
}

const marksPerStatement = 20

var (
	insertMark  = "INSERT INTO mark (key, value, number) VALUES "
	insertMark1 = insertMark + "(?, ?, ?)"
	insertMarkN = insertMark + repeated("(?, ?, ?)", marksPerStatement)
	// Jobs that were submitted together often have a mark in common.
	insertMarks = "WITH RECURSIVE n(i) AS (SELECT ? UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO mark (key, value, number) SELECT ?, ?, i FROM n"
)

// manyMarks is how many equal marks of jobs with consecutive numbers are written as
// a range.
const manyMarks = 4

// stageMarks notes what a new job is marked with. Its number must be given.
func (b *batch) stageMarks(number int64, owner string, annotations map[string]string) {
	for _, m := range listing.MarksOf(b.w.marks.present, owner, annotations) {
		b.marks = append(b.marks, mark{b.w.marks.ids[m.Name], m.Value, number})
	}
}

type mark struct {
	key    int64
	value  string
	number int64
}

// compare orders marks as the table does.
func (m mark) compare(o mark) int {
	return cmp.Or(cmp.Compare(m.key, o.key), strings.Compare(m.value, o.value), cmp.Compare(m.number, o.number))
}

func (b *batch) writeMarks() error {
	slices.SortFunc(b.marks, mark.compare)
	var single []mark
	for rest := b.marks; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n] == (mark{rest[0].key, rest[0].value, rest[0].number + int64(n)}) {
			n++
		}
		if n < manyMarks {
			single = append(single, rest[:n]...)
		} else if _, err := b.w.conn.exec(insertMarks, rest[0].number, rest[n-1].number, rest[0].key, rest[0].value); err != nil {
			return fmt.Errorf("mark jobs: %w", err)
		}
		rest = rest[n:]
	}
	b.marks = b.marks[:0]
	args := make([]any, 0, 3*marksPerStatement)
	for group := range slices.Chunk(single, marksPerStatement) {
		query, step := insertMarkN, len(group)
		if len(group) < marksPerStatement {
			query, step = insertMark1, 1
		}
		for part := range slices.Chunk(group, step) {
			args = args[:0]
			for _, m := range part {
				args = append(args, m.key, m.value, m.number)
			}
			if _, err := b.w.conn.exec(query, args...); err != nil {
				return fmt.Errorf("mark jobs: %w", err)
			}
		}
	}
	return nil
}

// deleteMarks deletes what a job is marked with, whenever that was declared.
func (b *batch) deleteMarks(number int64, fixed, details []byte) error {
	var job armada.Job
	if err := codec.DecodeFixed(fixed, &job); err != nil {
		return err
	}
	d, err := codec.DecodeDetails(details)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(b.w.marks.ids))
	for name := range b.w.marks.ids {
		names = append(names, name)
	}
	for _, m := range listing.MarksOf(names, job.Owner, d.Annotations) {
		if _, err := b.w.conn.exec("DELETE FROM mark WHERE key = ? AND value = ? AND number = ?", b.w.marks.ids[m.Name], m.Value, number); err != nil {
			return err
		}
	}
	return nil
}
