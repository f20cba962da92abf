package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"armada"
	"armada/pkg/client"
)

// liveLine is a line of status that stays at the bottom of a terminal while other
// lines pass above it. It redraws itself until it is closed. Its methods may be
// called from many goroutines, and on nil, which shows nothing.
type liveLine struct {
	out  io.Writer
	text func() string

	mu    sync.Mutex
	shown bool // there is a status in the last line of the terminal
	stale bool // something has changed since

	stop, stopped chan struct{}
}

// Redrawing: soon after a change, and for the clock in the line without one.
const (
	redrawSoon = 100 * time.Millisecond
	redrawSlow = 10 // times as long
)

const eraseLine = "\r\x1b[K"

// newLiveLine shows a text that must fit into a line. The caller closes it. The
// text is asked for while nothing else goes on in do.
func newLiveLine(out io.Writer, text func() string) *liveLine {
	l := &liveLine{out: out, text: text, stale: true, stop: make(chan struct{}), stopped: make(chan struct{})}
	go l.redraw()
	return l
}

func (l *liveLine) redraw() {
	defer close(l.stopped)
	tick := time.NewTicker(redrawSoon)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-l.stop:
			return
		case <-tick.C:
			l.mu.Lock()
			if l.stale || n%redrawSlow == 0 {
				l.draw()
			}
			l.mu.Unlock()
		}
	}
}

func (l *liveLine) draw() {
	fmt.Fprint(l.out, eraseLine+l.text())
	l.shown, l.stale = true, false
}

// do calls f, which may change what the text tells of and write whole lines to
// the terminal.
func (l *liveLine) do(f func() error) error {
	if l == nil {
		return f()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shown {
		fmt.Fprint(l.out, eraseLine)
	}
	l.shown, l.stale = false, true
	return f()
}

// close leaves the last status behind as a line of its own.
func (l *liveLine) close() {
	if l == nil {
		return
	}
	close(l.stop)
	<-l.stopped
	l.draw()
	fmt.Fprintln(l.out)
}

// live is a status of the progress of jobs where the output is a terminal that
// can erase a line, otherwise nil.
func (c *cli) live(p *client.Progress) *liveLine {
	if _, is := c.terminal(); !is || c.environment("TERM") == "dumb" {
		return nil
	}
	began := c.now()
	return newLiveLine(c.out, func() string {
		columns, _ := c.terminal()
		return c.status(p, span(c.now().Sub(began).Truncate(time.Second)), columns-1)
	})
}

// status is how far jobs have come, in at most so many columns.
func (c *cli) status(p *client.Progress, took string, columns int) string {
	if p.Jobs() == 0 {
		return short("waiting for the first event  "+took, columns)
	}
	done := 0
	parts := []struct {
		text string
		in   colour
	}{{}, {}}
	for _, state := range counted {
		n := p.Count(state)
		if state.Terminal() {
			done += n
		}
		if n > 0 {
			parts = append(parts, struct {
				text string
				in   colour
			}{fmt.Sprintf("  %d %s", n, state), colourOf(state)})
		}
	}
	good, bad := p.Count(armada.JobSucceeded), p.Count(armada.JobFailed)
	bar := green
	if bad > 0 {
		bar = red
	} else if good < done {
		bar = yellow
	}
	parts[0].text, parts[0].in = progressBar(done, p.Jobs(), min(30, columns/4)), bar
	parts[1].text = fmt.Sprintf(" %d of %d ended", done, p.Jobs())
	parts = append(parts, struct {
		text string
		in   colour
	}{"  " + took, uncoloured})
	var line strings.Builder
	for _, part := range parts {
		if columns -= utf8.RuneCountInString(part.text); columns < 0 {
			break // what is more important comes first
		}
		line.WriteString(c.dye(part.text, part.in))
	}
	return line.String()
}

// progressBar is a part of a whole drawn in so many columns; it is full only
// when the part is the whole.
func progressBar(part, whole, columns int) string {
	inside := max(columns-2, 1)
	full := inside * part / whole
	return "[" + strings.Repeat("=", full) + strings.Repeat("-", inside-full) + "]"
}
