package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/known/durationpb"

	"armada"
	"armada/internal/auth"
)

// Limits bound what one user may do, whatever connections it uses. Zero is no
// bound. Executors and replicas have none.
type Limits struct {
	// Submit, Change and Ask are how many calls a user may make that take jobs in,
	// that change something else, and that only ask, on this server:
	// {perSecond: 10, burst: 100}.
	Submit, Change, Ask CallRate
	// Streams is how many streams a user may have open on this server.
	Streams int
}

// CallRate is how many calls are taken: as many at once as burst says, and then
// so many each second.
type CallRate struct {
	PerSecond float64
	Burst     int
}

// Validate returns everything that is wrong with the limits.
func (l Limits) Validate() error {
	var wrong []error
	for kind, r := range l.rates() {
		name := callKindNames[kind]
		switch {
		case r == CallRate{}:
		case !(r.PerSecond >= 0.001 && r.PerSecond <= 1e6):
			wrong = append(wrong, fmt.Errorf("limits.%s.perSecond: must be from 0.001 to 1000000, or 0 with a burst of 0 for no bound, is %v", name, r.PerSecond))
		case r.Burst < 1 || r.Burst > 1e9:
			wrong = append(wrong, fmt.Errorf("limits.%s.burst: must be from 1 to 1000000000, is %d", name, r.Burst))
		}
	}
	if l.Streams < 0 {
		wrong = append(wrong, fmt.Errorf("limits.streams: must not be negative, is %d", l.Streams))
	}
	return errors.Join(wrong...)
}

// rates are those of each kind of call.
func (l Limits) rates() [len(callKindNames)]CallRate {
	return [...]CallRate{callSubmit: l.Submit, callChange: l.Change, callAsk: l.Ask}
}

// callKind is how a call counts.
type callKind uint8

const (
	callFree callKind = iota // what executors, replicas and whoever looks at the server's health call
	callSubmit
	callChange
	callAsk
)

var callKindNames = [...]string{"free", "submit", "change", "ask"}

// limiter keeps users within their limits. It may be used by many goroutines.
type limiter struct {
	most  int // streams of a user
	rates [len(callKindNames)]CallRate
	spent *lru[spender, *rate.Limiter] // a user forgotten begins anew

	mu      sync.Mutex
	streams map[string]int // open ones, by user
}

type spender struct {
	user string
	kind callKind
}

// spenderBytes bounds what is remembered of users.
const spenderBytes = 16 << 20

func newLimiter(limits Limits) *limiter {
	return &limiter{most: limits.Streams, rates: limits.rates(), spent: newLRU[spender, *rate.Limiter](spenderBytes), streams: map[string]int{}}
}

// take counts a call. Its error says when to try again.
func (l *limiter) take(ctx context.Context, method string) error {
	kind := methods[method].kind
	allowed := l.rates[kind]
	p, known := auth.From(ctx)
	if allowed.PerSecond == 0 || !known {
		return nil
	}
	key := spender{p.Name, kind}
	bucket, there := l.spent.get(key)
	if !there {
		l.spent.put(key, rate.NewLimiter(rate.Limit(allowed.PerSecond), allowed.Burst), len(p.Name))
		if bucket, there = l.spent.get(key); !there {
			return nil // forgotten at once: more users than can be remembered
		}
	}
	now := time.Now()
	asked := bucket.ReserveN(now, 1)
	wait := asked.DelayFrom(now)
	if wait == 0 {
		return nil
	}
	asked.CancelAt(now)
	return exhausted(wait, fmt.Sprintf("user %q makes more calls of the kind %q than %g a second; try again in %s (server.limits.%s)",
		clip(p.Name, 100), callKindNames[kind], allowed.PerSecond, wait.Round(time.Millisecond), callKindNames[kind]))
}

// open counts a stream, until done is called.
func (l *limiter) open(ctx context.Context, method string) (done func(), err error) {
	p, known := auth.From(ctx)
	if l.most == 0 || !known || methods[method].kind == callFree {
		return func() {}, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.streams[p.Name]; n >= l.most {
		const pause = 5 * time.Second // somebody has to close one
		return nil, exhausted(pause, fmt.Sprintf("user %q has %d streams open, which is the most (server.limits.streams): close one", clip(p.Name, 100), n))
	}
	l.streams[p.Name]++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.streams[p.Name]--; l.streams[p.Name] == 0 {
			delete(l.streams, p.Name)
		}
	}, nil
}

func exhausted(wait time.Duration, message string) error {
	wait = time.Duration(math.Ceil(wait.Seconds()*1000)) * time.Millisecond
	return &detailed{
		error:  &armada.Error{Code: armada.CodeExhausted, Message: message},
		detail: &errdetails.RetryInfo{RetryDelay: durationpb.New(wait)},
	}
}
