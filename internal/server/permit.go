package server

import (
	"context"
	"time"
)

// permitLasts is how long a stream goes on without asking again whether its caller
// may have what it sends.
const permitLasts = 30 * time.Second

// permit is what lets a stream send: its caller's right, which may be taken away
// while the stream is open. A stream that sends nothing does not ask.
type permit struct {
	ask  func(context.Context) error // fails when the caller may not, or not any more
	now  func() time.Time
	last time.Time // when it was asked
}

// permitted asks for the first time.
func permitted(ctx context.Context, now func() time.Time, ask func(context.Context) error) (*permit, error) {
	p := &permit{ask: ask, now: now}
	return p, p.renew(ctx)
}

// holds asks again when that was long ago. It is called before something is sent.
func (p *permit) holds(ctx context.Context) error {
	if p.now().Sub(p.last) < permitLasts {
		return nil
	}
	return p.renew(ctx)
}

func (p *permit) renew(ctx context.Context) error {
	at := p.now()
	if err := p.ask(ctx); err != nil {
		return err
	}
	p.last = at
	return nil
}
