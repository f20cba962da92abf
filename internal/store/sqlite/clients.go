package sqlite

import (
	"fmt"
	"slices"

	"armada"
)

// clientsPerStatement is how many client ids are looked up or written at once.
const clientsPerStatement = 20

var (
	selectClients = "SELECT name, job, at, id FROM client_id WHERE queue = ? AND name IN " + inList(clientsPerStatement)
	insertClient  = "INSERT INTO client_id (queue, name, job, at) VALUES "
	insertClient1 = insertClient + "(?, ?, ?, ?)"
	insertClientN = insertClient + repeated("(?, ?, ?, ?)", clientsPerStatement)
)

// inList is a list of n parameters.
func inList(n int) string { return "(" + repeated("?", n) + ")" }

// FirstWith returns the jobs that were submitted to a queue with client ids
// within the retention time, by client id. What is older is deleted.
func (b *batch) FirstWith(queue string, unknown []string) (map[string]armada.JobID, error) {
	first := make(map[string]armada.JobID)
	var expired []int64
	for part := range slices.Chunk(unknown, clientsPerStatement) {
		args := make([]any, 1, 1+clientsPerStatement)
		args[0] = queue
		for i := range clientsPerStatement { // a short part repeats its last
			args = append(args, part[min(i, len(part)-1)])
		}
		if err := b.w.conn.each(selectClients, func(r row) error {
			if within(fromMicros(r.int(2)), b.Now, b.w.store.config.ClientIDRetention) {
				first[r.str(0)] = armada.JobID(r.str(1))
			} else {
				expired = append(expired, r.int(3))
			}
			return nil
		}, args...); err != nil {
			return nil, fmt.Errorf("look up client ids: %w", err)
		}
	}
	for _, id := range expired {
		if _, err := b.w.conn.exec("DELETE FROM client_id WHERE id = ?", id); err != nil {
			return nil, fmt.Errorf("delete an old client id: %w", err)
		}
	}
	return first, nil
}

func (b *batch) writeClients() error {
	var args []any
	for group := range slices.Chunk(b.Clients, clientsPerStatement) {
		query, step := insertClientN, len(group)
		if len(group) < clientsPerStatement {
			query, step = insertClient1, 1
		}
		for part := range slices.Chunk(group, step) {
			args = args[:0]
			for _, c := range part {
				args = append(args, c.Queue, c.Name, string(c.Job), micros(b.Now))
			}
			if _, err := b.w.conn.exec(query, args...); err != nil {
				return fmt.Errorf("insert client ids: %w", err)
			}
		}
	}
	return nil
}
