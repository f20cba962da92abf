package postgres

import (
	"context"
	"errors"
	"strconv"

	"github.com/jackc/pgx/v5"

	"armada"
	"armada/internal/store/codec"
	"armada/internal/store/intake"
)

// callOf is the call of a function with so many arguments.
func callOf(function string, arguments int) string {
	text := []byte("SELECT " + function + "(")
	for i := range arguments {
		if i > 0 {
			text = append(text, ", "...)
		}
		text = strconv.AppendInt(append(text, '$'), int64(i+1), 10)
	}
	return string(append(text, ')'))
}

// PutQueue creates or replaces a queue.
func (s *Store) PutQueue(ctx context.Context, q armada.Queue) error {
	return s.putQueue(ctx, q, false)
}

// UpdateQueue replaces a queue.
func (s *Store) UpdateQueue(ctx context.Context, q armada.Queue) error {
	return s.putQueue(ctx, q, true)
}

func (s *Store) putQueue(ctx context.Context, q armada.Queue, mustExist bool) error {
	body, err := codec.AppendQueue(nil, &q)
	if err != nil {
		return &armada.Error{Code: armada.CodeInvalid, Message: "queue " + q.Name, Cause: err}
	}
	if err := s.call(ctx, "put queue", nil, callOf("armada.put_queue", 4), s.clock.given(), q.Name, body, mustExist); err != nil {
		return err
	}
	s.touched()
	return nil
}

// DeleteQueue forgets a queue. Its job sets take no jobs any more: those of a
// queue of the same name made later are new incarnations. Jobs with a wish to
// cancel end in the old ones.
func (s *Store) DeleteQueue(ctx context.Context, name string) error {
	if err := s.call(ctx, "delete queue", nil, callOf("armada.delete_queue", 2), s.clock.given(), name); err != nil {
		return err
	}
	s.touched()
	return nil
}

// Queue returns one queue.
func (s *Store) Queue(ctx context.Context, name string) (armada.Queue, error) {
	var q armada.Queue
	err := s.read(ctx, "read queue", func(ctx context.Context) error {
		var body []byte
		err := s.pool.QueryRow(ctx, "SELECT body FROM armada.queue WHERE name = $1 AND NOT deleted", name).Scan(&body)
		if errors.Is(err, pgx.ErrNoRows) {
			return intake.Coded(armada.CodeNotFound, "queue %q does not exist", name)
		}
		if err != nil {
			return err
		}
		q, err = codec.DecodeQueue(body, name)
		return err
	})
	return q, err
}

// Queues returns all queues.
func (s *Store) Queues(ctx context.Context) ([]armada.Queue, error) {
	var queues []armada.Queue
	err := s.read(ctx, "read queues", func(ctx context.Context) (err error) {
		queues, err = s.readQueues(ctx)
		return err
	})
	return queues, err
}

func (s *Store) readQueues(ctx context.Context) ([]armada.Queue, error) {
	var queues []armada.Queue
	err := s.each(ctx, func(r pgx.Rows) error {
		q, err := scanQueue(r)
		queues = append(queues, q)
		return err
	}, "SELECT name, body FROM armada.queue WHERE NOT deleted ORDER BY name")
	return queues, err
}

// scanQueue reads the columns name and body.
func scanQueue(r pgx.Rows) (armada.Queue, error) {
	var name string
	var body []byte
	if err := r.Scan(&name, &body); err != nil {
		return armada.Queue{}, err
	}
	return codec.DecodeQueue(body, name)
}
