package kubetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	remoteconsts "k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// Program is the program that containers of played kubelets have, and the only one.
// It does what its arguments say, one after the other, as the actor of the real
// node does (test/kube/node/actor):
//
//	print=TEXT      prints a line      complain=TEXT   prints one to stderr
//	bulk=BYTES      prints so many dots
//	echo            prints its input, to the end of it
//	sizes           prints the size of its terminal, and again when it changes
//	stay            waits for the end of its container
//	exit=CODE       ends
const Program = "played"

// streamPatience is how long a client may take to open its streams.
const streamPatience = 30 * time.Second

// exec plays the part of a kubelet that runs commands: what comes to it is SPDY,
// into which the API server translates what its own clients speak.
func (n *Nodes) exec(w http.ResponseWriter, r *http.Request) {
	l := n.latest(r.PathValue("pod"))
	if l == nil || !l.runs(r.PathValue("container")) {
		http.Error(w, fmt.Sprintf("container not found (%q)", r.PathValue("container")), http.StatusInternalServerError)
		return
	}
	if _, err := httpstream.Handshake(r, w, []string{remoteconsts.StreamProtocolV4Name}); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	query := r.URL.Query()
	terminal := query.Get("tty") == "1"
	wanted := map[string]bool{corev1.StreamTypeError: true, corev1.StreamTypeResize: terminal}
	for kind, asked := range map[string]string{corev1.StreamTypeStdin: "input", corev1.StreamTypeStdout: "output", corev1.StreamTypeStderr: "error"} {
		wanted[kind] = query.Get(asked) == "1" && (!terminal || kind != corev1.StreamTypeStderr)
	}
	opened := make(chan httpstream.Stream)
	conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(s httpstream.Stream, replySent <-chan struct{}) error {
		go func() {
			select {
			case <-replySent: // a stream is there for its client only then
			case <-n.ctx.Done():
				return
			}
			select {
			case opened <- s:
			case <-n.ctx.Done():
			}
		}()
		return nil
	})
	if conn == nil {
		return // the client was told
	}
	defer conn.Close()
	streams := map[string]httpstream.Stream{}
	late := time.After(streamPatience)
	for kind, is := range wanted {
		for is && streams[kind] == nil {
			select {
			case s := <-opened:
				streams[s.Headers().Get(corev1.StreamType)] = s
			case <-late:
				return
			case <-n.ctx.Done():
				return
			}
		}
	}
	gone := make(chan struct{})
	defer close(gone)
	c := newCommand(streams, terminal, gone)
	over := make(chan error, 1)
	go func() { over <- c.run(query["command"]) }()
	var err error
	select {
	case err = <-over:
	case <-l.ended:
		err = exitError(137)
	case <-conn.CloseChan():
		return
	case <-n.ctx.Done():
		return
	}
	_ = json.NewEncoder(streams[corev1.StreamTypeError]).Encode(outcome(err))
}

// runs tells whether the container of a life runs.
func (l *life) runs(container string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pod.Spec.Containers[0].Name == container && !l.span.Began.IsZero() && l.span.Ended.IsZero()
}

// exitError is an exit code other than 0.
type exitError int

func (e exitError) Error() string { return "command terminated with exit code " + strconv.Itoa(int(e)) }

// outcome tells how a command ended, as kubelets do.
func outcome(err error) metav1.Status {
	var code exitError
	switch {
	case err == nil:
		return metav1.Status{Status: metav1.StatusSuccess}
	case errors.As(err, &code):
		return metav1.Status{
			Status: metav1.StatusFailure, Reason: remoteconsts.NonZeroExitCodeReason, Message: err.Error(),
			Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: remoteconsts.ExitCodeCauseType, Message: strconv.Itoa(int(code))}}},
		}
	}
	return apierrors.NewInternalError(fmt.Errorf("error executing command in container: %w", err)).ErrStatus
}

// command is one that is played.
type command struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	sizes          <-chan remotecommand.TerminalSize // of its terminal; nil: it has none
	gone           <-chan struct{}                   // closed when nobody waits for it any more
}

func newCommand(streams map[string]httpstream.Stream, terminal bool, gone <-chan struct{}) *command {
	c := &command{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard, gone: gone}
	if s := streams[corev1.StreamTypeStdin]; s != nil {
		c.stdin = s
	}
	if s := streams[corev1.StreamTypeStdout]; s != nil {
		c.stdout = s
	}
	if s := streams[corev1.StreamTypeStderr]; s != nil {
		c.stderr = s
	}
	if terminal {
		sizes := make(chan remotecommand.TerminalSize)
		go tellSizes(streams[corev1.StreamTypeResize], sizes, gone)
		input := &typed{from: c.stdin, begins: true}
		c.sizes, c.stdin, c.stdout = sizes, input, shown{c.stdout, input}
		c.stderr = c.stdout
	}
	return c
}

// tellSizes reads the sizes of a terminal.
func tellSizes(from io.Reader, to chan<- remotecommand.TerminalSize, gone <-chan struct{}) {
	for in := json.NewDecoder(from); ; {
		var size remotecommand.TerminalSize
		if in.Decode(&size) != nil {
			return
		}
		select {
		case to <- size:
		case <-gone:
			return
		}
	}
}

// typed is the input of a terminal: the character for its end ends it at the
// beginning of a line, and elsewhere gives out what was typed. When it is closed
// without, the terminal is hung up, as by containerd.
type typed struct {
	from   io.Reader
	begins bool // a line
	hungUp atomic.Bool
}

func (t *typed) Read(p []byte) (int, error) {
	n, err := t.from.Read(p)
	kept := p[:0]
	for _, b := range p[:n] {
		if b == 4 {
			if t.begins {
				return len(kept), io.EOF
			}
			t.begins = true
			continue
		}
		t.begins = b == '\n' || b == '\r'
		kept = append(kept, b)
	}
	if err != nil {
		t.hungUp.Store(true)
	}
	return len(kept), err
}

// shown is the output of a terminal.
type shown struct {
	to    io.Writer
	input *typed
}

func (s shown) Write(p []byte) (int, error) {
	if s.input.hungUp.Load() {
		return 0, exitError(129)
	}
	_, err := io.WriteString(s.to, strings.ReplaceAll(string(p), "\n", "\r\n"))
	return len(p), err
}

// run does what the arguments say. A program that is not there is told of in the
// words of runc, by way of containerd.
func (c *command) run(args []string) error {
	if args[0] != Program {
		why := `exec: "` + args[0] + `": executable file not found in $PATH`
		if strings.Contains(args[0], "/") {
			why = `exec: "` + args[0] + `": stat ` + args[0] + `: no such file or directory`
		}
		return fmt.Errorf(`failed to exec in container: failed to start exec "e1": OCI runtime exec failed: exec failed: unable to start container process: %s: unknown`, why)
	}
	for _, step := range args[1:] {
		verb, value, _ := strings.Cut(step, "=")
		if err := c.act(verb, value); err != nil {
			return err
		}
	}
	return nil
}

func (c *command) act(verb, value string) (err error) {
	switch verb {
	case "print":
		_, err = fmt.Fprintln(c.stdout, value)
	case "complain":
		_, err = fmt.Fprintln(c.stderr, value)
	case "bulk":
		n, _ := strconv.Atoi(value)
		_, err = io.WriteString(c.stdout, strings.Repeat(".", n))
	case "echo":
		_, err = io.Copy(c.stdout, c.stdin)
	case "sizes":
		for range 2 {
			select {
			case size := <-c.sizes:
				if _, err := fmt.Fprintf(c.stdout, "%dx%d\n", size.Width, size.Height); err != nil {
					return err
				}
			case <-c.gone:
				return exitError(129)
			}
		}
	case "stay":
		<-c.gone
		return exitError(137)
	case "exit":
		if code, _ := strconv.Atoi(value); code != 0 {
			return exitError(code)
		}
	default:
		return exitError(64)
	}
	return err
}
