package app

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada/pkg/api"
	"armada/pkg/client"
)

// commander begins the executor <name>-1 of a made-up cluster, which runs commands.
func (f *fleet) commander(name string, servers ...string) *member {
	f.Helper()
	config := DefaultConfig()
	config.Executor.ID, config.Executor.Simulate, config.Executor.Servers = name, "1x1", servers
	config.Executor.Exec = true
	return f.begin(RoleExecutor, config)
}

// runs waits until a job runs that does not end by itself.
func (f *fleet) runs(c *client.Client, name string) string {
	f.Helper()
	job := item(name, "")
	job.Annotations["armadaproject.io/simulate-runtime"] = "1h"
	id := f.submit(c, "set", job)[0]
	f.until("the job runs", func() bool {
		found, err := c.Job(f.Context(), id)
		return err == nil && found.GetState() == api.JobState_RUNNING
	})
	return id
}

// busy is a command that has begun and does not end by itself.
type busy struct {
	end   func() // of whoever gave it
	code  int    // once it has ended
	ended chan error
}

func (f *fleet) busy(c *client.Client, job string) *busy {
	f.Helper()
	ctx, cancel := context.WithCancel(f.Context())
	f.Cleanup(cancel)
	out, in := io.Pipe()
	b := &busy{end: cancel, ended: make(chan error, 1)}
	typed, keys := io.Pipe()
	go func() {
		code, err := c.Exec(ctx, client.Command{Job: job, Args: []string{"cat"}}, client.Streams{Stdin: typed, Stdout: in})
		b.code = code
		_ = in.CloseWithError(io.ErrUnexpectedEOF)
		b.ended <- err
	}()
	f.Cleanup(func() { _ = keys.Close() })
	if _, err := keys.Write([]byte("begun")); err != nil {
		f.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 5)); err != nil {
		f.Fatalf("the command has not begun: %v, %v", err, <-b.ended)
	}
	return b
}

// breaksOff waits for the end of a command, which nobody may wait for in vain.
func (f *fleet) breaksOff(b *busy, code codes.Code, says ...string) {
	f.Helper()
	select {
	case err := <-b.ended:
		for _, part := range says {
			if status.Code(err) != code || err != nil && !strings.Contains(err.Error(), part) {
				f.Errorf("the command ended with %v, want %s and %q", err, code, part)
			}
		}
	case <-time.After(patience):
		f.Fatal("the command goes on")
	}
}

func TestACommandIsRunThroughWhicheverReplica(t *testing.T) {
	onEachForm(t, func(f *fleet) {
		a := f.replica("a", "127.0.0.1:0")
		f.leads(a)
		b := f.replica("b", "127.0.0.1:0")
		f.commander("east", b.GRPCAddr())
		f.executor("west", b.GRPCAddr())
		f.connected("east-1", b)
		f.connected("west-1", b)
		atA, atB := f.client(a.GRPCAddr()), f.client(b.GRPCAddr())
		f.queue(atA)
		job := f.runs(atA, "east")
		for at, c := range map[string]*client.Client{"a": atA, "b": atB} {
			var out, wrong bytes.Buffer
			code, err := c.Exec(f.Context(), client.Command{Job: job, Args: []string{"echo", "hello", at}}, client.Streams{Stdout: &out, Stderr: &wrong})
			if err != nil || code != 0 || out.String() != "hello "+at+"\n" || wrong.Len() > 0 {
				f.Errorf("at %s: %d, %q, %q, %v", at, code, out.String(), wrong.String(), err)
			}
			code, err = c.Exec(f.Context(), client.Command{Job: job, Args: []string{"exit", "42"}}, client.Streams{})
			if err != nil || code != 42 {
				f.Errorf("at %s the exit code is %d, %v", at, code, err)
			}
			// Several MB there and back.
			input := bytes.Repeat([]byte("0123456789abcdef"), 300_000)
			out.Reset()
			code, err = c.Exec(f.Context(), client.Command{Job: job, Args: []string{"cat"}}, client.Streams{Stdin: bytes.NewReader(input), Stdout: &out})
			if err != nil || code != 0 || !bytes.Equal(out.Bytes(), input) {
				f.Errorf("at %s %d of %d bytes came back, %d, %v", at, out.Len(), len(input), code, err)
			}
			// A terminal that becomes larger.
			sizes := make(chan client.TerminalSize, 1)
			read, write := io.Pipe()
			go func() {
				_, err := c.Exec(f.Context(), client.Command{Job: job, Args: []string{"sizes"}, Terminal: &client.TerminalSize{Width: 80, Height: 24}},
					client.Streams{Stdin: neverEnding(f), Stdout: write, Resize: sizes})
				_ = write.CloseWithError(err)
			}()
			for _, want := range []string{"80x24\r\n", "132x50\r\n"} {
				got := make([]byte, len(want))
				if _, err := io.ReadFull(read, got); err != nil || string(got) != want {
					f.Errorf("at %s the terminal is %q, %v; want %q", at, got, err, want)
				}
				if want == "80x24\r\n" {
					sizes <- client.TerminalSize{Width: 132, Height: 50}
				}
			}
			_ = read.Close() // the command is ended, since nobody reads it
		}
		other := f.runs(atA, "west")
		_, err := atA.Exec(f.Context(), client.Command{Job: other, Args: []string{"echo"}}, client.Streams{})
		if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), `executor "west-1"`) || !strings.Contains(err.Error(), "executor.exec") {
			f.Errorf("where commands are not let in: %v", err)
		}
		_, err = atA.Exec(f.Context(), client.Command{Job: "01f3j0g1md4qx7z5qb148qnaaa", Args: []string{"echo"}}, client.Streams{})
		if status.Code(err) != codes.NotFound {
			f.Errorf("of a job that never was: %v", err)
		}
	})
}

// neverEnding is input that does not come, until the test ends.
func neverEnding(f *fleet) io.Reader {
	read, write := io.Pipe()
	f.Cleanup(func() { _ = write.Close() })
	return read
}

func TestACommandEndsWithWhatItNeeds(t *testing.T) {
	onEachForm(t, func(f *fleet) {
		a := f.replica("a", "127.0.0.1:0")
		f.leads(a)
		b := f.replica("b", "127.0.0.1:0")
		east := f.commander("east", b.GRPCAddr())
		f.connected("east-1", b)
		atA, atB := f.client(a.GRPCAddr()), f.client(b.GRPCAddr())
		f.queue(atA)
		job := f.runs(atA, "east")

		leaves := f.busy(atA, job)
		leaves.end()
		f.breaksOff(leaves, codes.Canceled, "")

		gone := []*busy{f.busy(atA, job), f.busy(atB, job)}
		east.end() // which stops its pods first, and so what runs in them
		for _, b := range gone {
			f.breaksOff(b, codes.OK, "")
			if b.code != 137 {
				f.Errorf("the command of a pod that was stopped ended with %d", b.code)
			}
		}

		south := f.commander("south", b.GRPCAddr())
		f.connected("south-1", b)
		job = f.runs(atA, "south")
		gone = []*busy{f.busy(atA, job), f.busy(atB, job)}
		b.end()
		f.breaksOff(gone[0], codes.Unavailable, `executor "south-1"`, `replica "b`)
		f.breaksOff(gone[1], codes.Unavailable, "")
		f.replica("b2", b.GRPCAddr())
		south.end() // while there is somebody to tell
	})
}
