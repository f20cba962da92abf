package auth

import (
	"sync"
	"time"
)

// guesses slows down who guesses passwords: after some wrong ones of a user from
// one address, every further one costs a pause that doubles.
type guesses struct {
	now func() time.Time

	mu    sync.Mutex
	tries map[guess]*tries
}

type guess struct{ user, from string }

type tries struct {
	wrong int
	last  time.Time // when the last wrong one came
	until time.Time // no password is looked at before
}

// How many wrong passwords are free, how long the pauses get, how many users
// and addresses are remembered.
const (
	freeGuesses   = 5
	longestPause  = time.Minute
	forgottenIn   = 10 * time.Minute
	mostOfGuesses = 10_000
)

func newGuesses(now func() time.Time) *guesses {
	return &guesses{now: now, tries: map[guess]*tries{}}
}

// wait tells for how long no password of the user is looked at.
func (g *guesses) wait(user, from string) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.tries[guess{user, from}]
	if t == nil {
		return 0
	}
	return t.until.Sub(g.now())
}

func (g *guesses) wrong(user, from string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	if len(g.tries) >= mostOfGuesses {
		for key, t := range g.tries {
			// Old ones, and as many others as it takes: who fills this up with made-up
			// names has bought nothing but time to guess five more of each.
			if now.Sub(t.last) > forgottenIn || len(g.tries) > mostOfGuesses/2 {
				delete(g.tries, key)
			}
		}
	}
	key := guess{user, from}
	t := g.tries[key]
	if t == nil || now.Sub(t.last) > forgottenIn {
		t = &tries{}
		g.tries[key] = t
	}
	t.last = now
	if t.wrong++; t.wrong >= freeGuesses {
		pause := min(time.Second<<min(t.wrong-freeGuesses, 10), longestPause)
		t.until = now.Add(pause)
	}
}

func (g *guesses) right(user, from string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.tries, guess{user, from})
}
