package postgres

import (
	"github.com/jackc/pgx/v5"

	"armada/internal/store/intake"
)

// gangCount is how many members a gang has, and which cardinality they say.
type gangCount struct{ members, cardinality int }

// queueGangs adds the statements for gangs of job sets that take jobs.
func (g *gathering) queueGangs(batch *pgx.Batch, n *needs) {
	for key, ids := range n.gangs {
		batch.Queue(`SELECT g.id, g.members, g.cardinality FROM armada.job_set s JOIN armada.gang g ON g.job_set = s.id
			WHERE s.queue = $1 AND s.name = $2 AND NOT s.closed AND g.id = ANY ($3)`, key.Queue, string(key.JobSet), ids).Query(func(rows pgx.Rows) error {
			return eachRow(rows, func(r pgx.Rows) error {
				var id string
				var count gangCount
				err := r.Scan(&id, &count.members, &count.cardinality)
				if g.gangs[key] == nil {
					g.gangs[key] = map[string]gangCount{}
				}
				g.gangs[key][id] = count
				return err
			})
		})
	}
}

// Gang returns how many members a gang has, of one that is to have more.
func (g *gathering) Gang(set *intake.JobSet, id string) (members, cardinality int, err error) {
	count := g.gangs[set.Key][id]
	return count.members, count.cardinality, nil
}

// addGangs adds by how much the members of gangs change.
func addGangs(a *arguments, b *intake.Batch) {
	n := len(b.Gangs)
	sets, queues, names, ids, by, cardinalities := make([]int64, n), make([]string, n), make([]string, n), make([]string, n), make([]int32, n), make([]int32, n)
	for i, g := range b.Gangs {
		sets[i], queues[i], names[i] = g.Set.ID, g.Set.Key.Queue, string(g.Set.Key.JobSet)
		ids[i], by[i], cardinalities[i] = g.ID, int32(g.By), int32(g.Cardinality)
	}
	a.add(sets, queues, names, ids, by, cardinalities)
}
