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
	return appendJSON(b, "queue", q.Name, &unnamed)
}

// DecodeQueue reads what AppendQueue wrote and sets the name.
func DecodeQueue(b []byte, name string) (armada.Queue, error) {
	var q armada.Queue
	err := decodeJSON(b, "queue", name, &q)
	q.Name = name
	return q, err
}

// AppendRetryPolicy appends a retry policy without its name, as AppendQueue does a
// queue.
func AppendRetryPolicy(b []byte, p *armada.RetryPolicy) ([]byte, error) {
	unnamed := *p
	unnamed.Name = ""
	return appendJSON(b, "retry policy", p.Name, &unnamed)
}

// DecodeRetryPolicy reads what AppendRetryPolicy wrote and sets the name.
func DecodeRetryPolicy(b []byte, name string) (armada.RetryPolicy, error) {
	var p armada.RetryPolicy
	err := decodeJSON(b, "retry policy", name, &p)
	p.Name = name
	return p, err
}

func appendJSON(b []byte, what, name string, v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w", what, name, err)
	}
	return append(append(b, version), body...), nil
}

func decodeJSON(b []byte, what, name string, v any) error {
	f, err := open(b)
	if err != nil {
		return fmt.Errorf("%s %q: %w", what, name, err)
	}
	if err := json.Unmarshal(f.rest, v); err != nil {
		return fmt.Errorf("%s %q: %w: %w", what, name, ErrCorrupt, err)
	}
	return nil
}
