package sqlite

import (
	"fmt"

	"armada/internal/store/intake"
)

// Gang returns how many members a gang has.
func (b *batch) Gang(set *intake.JobSet, id string) (members, cardinality int, err error) {
	r, err := b.w.conn.one("SELECT members, cardinality FROM gang WHERE job_set = ? AND id = ?", set.ID, id)
	if err != nil || r == nil {
		return 0, 0, err
	}
	return int(r.int(0)), int(r.int(1)), nil
}

// writeGangs writes how many members gangs have.
func (b *batch) writeGangs() error {
	for _, g := range b.Gangs {
		var err error
		if g.Members > 0 {
			_, err = b.w.conn.exec("INSERT OR REPLACE INTO gang (job_set, id, members, cardinality, at) VALUES (?, ?, ?, ?, ?)",
				g.Set.ID, g.ID, g.Members, g.Cardinality, micros(b.Now))
		} else {
			_, err = b.w.conn.exec("DELETE FROM gang WHERE job_set = ? AND id = ?", g.Set.ID, g.ID)
		}
		if err != nil {
			return fmt.Errorf("count the members of gang %q: %w", g.ID, err)
		}
	}
	return nil
}
