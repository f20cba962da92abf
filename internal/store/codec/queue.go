package codec

import (
	"encoding/json"
	"fmt"

	"armada"
)

// AppendQueue appends a queue without its name. Queues are few and rarely
// written: after the version they are JSON, whose unknown keys are skipped.
func AppendQueue(b []byte, q *armada.Queue) ([]byte, error) {
	unnamed := *q
	unnamed.Name = ""
	body, err := json.Marshal(&unnamed)
	if err != nil {
		return nil, fmt.Errorf("queue %q: %w", q.Name, err)
	}
	return append(append(b, version), body...), nil
}

// DecodeQueue reads what AppendQueue wrote and sets the name.
func DecodeQueue(b []byte, name string) (armada.Queue, error) {
	var q armada.Queue
	f, err := open(b)
	if err != nil {
		return q, fmt.Errorf("queue %q: %w", name, err)
	}
	if err := json.Unmarshal(f.rest, &q); err != nil {
		return q, fmt.Errorf("queue %q: %w: %w", name, ErrCorrupt, err)
	}
	q.Name = name
	return q, nil
}
