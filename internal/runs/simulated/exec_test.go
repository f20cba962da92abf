package simulated

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"armada"
	"armada/internal/runs"
)

// running is a runtime with a run that lasts an hour.
func running(t *testing.T) (*Runtime, armada.RunID) {
	t.Helper()
	r, err := New(few())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	o := order(1, AnnotationRuntime, "1h")
	start(t, r, o)
	synctest.Wait()
	return r, o.Run
}

func TestCommandsArePlayed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, run := running(t)
		page := &runs.TerminalSize{Width: 80, Height: 24}
		for name, c := range map[string]struct {
			args     []string
			terminal *runs.TerminalSize
			input    string
			code     int32
			out, err string
		}{
			"words":                  {args: []string{"echo", "a", "b"}, out: "a b\n"},
			"words on a terminal":    {args: []string{"echo", "a"}, terminal: page, out: "a\r\n"},
			"errors":                 {args: []string{"warn", "a"}, err: "a\n"},
			"errors on a terminal":   {args: []string{"warn", "a"}, terminal: page, out: "a\r\n"},
			"input":                  {args: []string{"cat"}, input: "a\x03b", out: "a\x03b"},
			"keys":                   {args: []string{"cat"}, terminal: page, input: "a\x04b", out: "a"},
			"Ctrl-C":                 {args: []string{"cat"}, terminal: page, input: "a\x03b", code: 130},
			"a nap":                  {args: []string{"sleep", "10m"}},
			"a nap that is none":     {args: []string{"sleep"}, code: 2, err: "sleep: time: invalid duration \"\"\n"},
			"an exit code":           {args: []string{"exit", "255"}, code: 255},
			"an exit code too large": {args: []string{"exit", "256"}, code: 2, err: "exit: the code must be from 0 to 255\n"},
			"a size":                 {args: []string{"sizes"}, terminal: page, input: "\x04", out: "80x24\r\n"},
			"a size of nothing":      {args: []string{"sizes"}, code: 1, err: "sizes: there is no terminal\n"},
			"what is not there":      {args: []string{"sh"}, code: 127, err: "sh: there is no such program\n"},
		} {
			var out, wrong bytes.Buffer
			code, err := r.Exec(t.Context(), run, runs.Command{Args: c.args, Terminal: c.terminal},
				runs.Streams{Stdin: strings.NewReader(c.input), Stdout: &out, Stderr: &wrong})
			if err != nil || code != c.code || out.String() != c.out || wrong.String() != c.err {
				t.Errorf("%s: %d, %q, %q, %v", name, code, out.String(), wrong.String(), err)
			}
		}
	})
}

func TestACommandEndsWithItsContextAndItsPod(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, run := running(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		waits, in := io.Pipe()
		defer in.Close()
		if _, err := r.Exec(ctx, run, runs.Command{Args: []string{"cat"}}, runs.Streams{Stdin: waits}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with its context it ends with %v", err)
		}
		began := time.Now()
		code, err := r.Exec(t.Context(), run, runs.Command{Args: []string{"sleep", "2h"}}, runs.Streams{})
		if took := time.Since(began); code != 137 || err != nil || took > time.Hour {
			t.Errorf("with its pod it ends after %s with %d, %v", took, code, err)
		}
		if _, err := r.Exec(t.Context(), run, runs.Command{Args: []string{"echo"}}, runs.Streams{Stdout: io.Discard}); !errors.Is(err, runs.ErrNotRunning) {
			t.Errorf("when the pod has ended: %v", err)
		}
		if _, err := r.Exec(t.Context(), "other", runs.Command{Args: []string{"echo"}}, runs.Streams{Stdout: io.Discard}); !errors.Is(err, runs.ErrUnknownRun) {
			t.Errorf("of a run that never was: %v", err)
		}
	})
}
