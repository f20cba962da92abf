package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"
	"k8s.io/klog/v2"
	"k8s.io/streaming/pkg/httpstream"

	"armada"
	"armada/internal/runs"
)

// errOver ends what an Exec has going when it returns.
var errOver = errors.New("the command is over")

// Exec runs a command in a container of a run's pod, through the API server and
// the node's kubelet. When ctx ends or a stream fails, the command loses its input
// and output; Kubernetes has no way to kill it, so one that minds neither goes on
// until its container ends.
func (r *Runtime) Exec(ctx context.Context, run armada.RunID, c runs.Command, s runs.Streams) (int32, error) {
	code, err := r.exec(ctx, run, &c, &s)
	if err != nil {
		return 0, fmt.Errorf("run a command in run %s: %w", run, err)
	}
	return code, nil
}

func (r *Runtime) exec(ctx context.Context, run armada.RunID, c *runs.Command, s *runs.Streams) (int32, error) {
	if err := c.Check(); err != nil {
		return 0, err
	}
	if _, known := r.ledger.Get(run); !known {
		return 0, runs.ErrUnknownRun
	}
	pod := r.pod(run)
	if pod == nil {
		return 0, runs.ErrNotRunning
	}
	container, err := commandContainer(pod, c.Container)
	if err != nil {
		return 0, err
	}
	if !containerRuns(pod, container) {
		return 0, runs.ErrNotRunning
	}
	executor, err := r.clients.executor(pod, container, c, s)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(errOver)
	// What client-go would log of streams that end early is no trouble.
	err = executor.StreamWithContext(klog.NewContext(ctx, klog.Logger{}), streamOptions(ctx.Done(), cancel, c, s))
	var exit utilexec.ExitError
	switch {
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case err == nil:
		return 0, nil
	case errors.As(err, &exit) && exit.Exited():
		return int32(exit.ExitStatus()), nil
	}
	if code := cannotRun(err); code != 0 {
		return code, complain(c, s, err)
	}
	// What we know may be older than what the kubelet does.
	if now, getErr := r.clients.own.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{}); apierrors.IsNotFound(getErr) ||
		getErr == nil && (now.UID != pod.UID || !containerRuns(now, container)) {
		return 0, fmt.Errorf("%w: %w", runs.ErrNotRunning, err)
	}
	return 0, err
}

// commandContainer is the container that a command names, or the first.
func commandContainer(pod *corev1.Pod, name string) (string, error) {
	if name == "" {
		return pod.Spec.Containers[0].Name, nil
	}
	if len(containersNamed(pod, name)) == 0 {
		return "", fmt.Errorf("container: the pod has none named %q, but %q", name, containersNamed(pod, ""))
	}
	return name, nil
}

func containerRuns(pod *corev1.Pod, name string) bool {
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range statuses {
			if statuses[i].Name == name {
				return statuses[i].State.Running != nil
			}
		}
	}
	return false
}

// executor speaks WebSocket with the API server, or SPDY where that, or a proxy
// before it, does not.
func (c *clients) executor(pod *corev1.Pod, container string, command *runs.Command, s *runs.Streams) (remotecommand.Executor, error) {
	url := c.own.CoreV1().RESTClient().Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{
			Container: container, Command: command.Args, TTY: command.Terminal != nil,
			Stdin: s.Stdin != nil, Stdout: true, Stderr: command.Terminal == nil,
		}, scheme.ParameterCodec).URL()
	spdy, err := remotecommand.NewSPDYExecutor(c.config, http.MethodPost, url)
	if err != nil {
		return nil, err
	}
	socket, err := remotecommand.NewWebSocketExecutor(c.config, http.MethodGet, url.String())
	if err != nil {
		return nil, err
	}
	return remotecommand.NewFallbackExecutor(socket, spdy, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
}

// streamOptions connects the streams such that one that fails cancels the rest,
// which client-go would only log.
func streamOptions(done <-chan struct{}, cancel context.CancelCauseFunc, c *runs.Command, s *runs.Streams) remotecommand.StreamOptions {
	o := remotecommand.StreamOptions{Tty: c.Terminal != nil, Stdout: &outlet{done: done, cancel: cancel, to: s.Stdout}}
	if s.Stdin != nil {
		o.Stdin = &inlet{done: done, cancel: cancel, from: s.Stdin, terminal: o.Tty, last: '\n'}
	}
	if c.Terminal == nil {
		o.Stderr = &outlet{done: done, cancel: cancel, to: s.Stderr}
		return o
	}
	o.TerminalSizeQueue = &sizes{done: done, first: c.Terminal, later: s.Resize}
	return o
}

// outlet gives what a command prints to its reader.
type outlet struct {
	done   <-chan struct{} // closed when the command is over
	cancel context.CancelCauseFunc
	to     io.Writer // nil: nobody reads it
}

func (o *outlet) Write(p []byte) (int, error) {
	select {
	case <-o.done:
		return 0, errOver
	default:
	}
	if o.to == nil {
		return len(p), nil
	}
	n, err := o.to.Write(p)
	if err != nil {
		o.cancel(fmt.Errorf("the output of the command could not be written: %w", err))
	}
	return n, err
}

// endOfInput is what ends the input of a terminal that has lines, typed at the
// beginning of one; elsewhere it gives out what was typed so far.
const endOfInput = "\x04"

// inlet reads the input of a command. That of a terminal ends by a character, and
// is left open until the command has ended: containerd hangs the terminal up when
// its input is closed, and what the command prints then is lost.
type inlet struct {
	done     <-chan struct{} // closed when the command is over
	cancel   context.CancelCauseFunc
	from     io.Reader
	terminal bool
	last     byte
	end      io.Reader // what follows the input
}

func (i *inlet) Read(p []byte) (int, error) {
	if i.end != nil {
		n, err := i.end.Read(p)
		if err != nil {
			<-i.done
		}
		return n, err
	}
	n, err := i.from.Read(p)
	if n > 0 {
		i.last = p[n-1]
	}
	switch {
	case errors.Is(err, io.EOF) && i.terminal:
		end := endOfInput
		if i.last != '\n' && i.last != '\r' {
			end += endOfInput
		}
		i.end, err = strings.NewReader(end), nil
	case err != nil && !errors.Is(err, io.EOF):
		i.cancel(fmt.Errorf("the input of the command failed: %w", err))
	}
	return n, err
}

// sizes tells of the sizes of a terminal.
type sizes struct {
	done  <-chan struct{} // closed when the command is over
	once  sync.Once
	first *runs.TerminalSize
	later <-chan runs.TerminalSize
}

// Next waits for the next size; nil is that there are no more.
func (s *sizes) Next() *remotecommand.TerminalSize {
	var size *runs.TerminalSize
	s.once.Do(func() { size = s.first })
	if size == nil {
		select {
		case next, more := <-s.later:
			if !more {
				return nil
			}
			size = &next
		case <-s.done:
			return nil
		}
	}
	return &remotecommand.TerminalSize{Width: size.Width, Height: size.Height}
}

// How container runtimes say that they could not begin a program: runc, crun and
// the shells' words for what the kernel answers.
var (
	notBegunWords  = regexp.MustCompile(`(?i)unable to start container process|executable file|exec failed|cannot exec|failed to exec|start exec`)
	missingWords   = regexp.MustCompile(`(?i)executable file .*not found|no such file or directory|executable not found`)
	forbiddenWords = regexp.MustCompile(`(?i)permission denied|exec format error|is a directory`)
)

// cannotRun is the exit code that a shell would give where a container runtime
// only says why it could not begin a program; 0 for other errors.
func cannotRun(err error) int32 {
	text := err.Error()
	switch {
	case !notBegunWords.MatchString(text):
		return 0
	case missingWords.MatchString(text):
		return 127
	case forbiddenWords.MatchString(text):
		return 126
	}
	return 0
}

// complain tells the reader of a command why it could not begin.
func complain(c *runs.Command, s *runs.Streams, why error) error {
	to, end := s.Stderr, "\n"
	if c.Terminal != nil {
		to, end = s.Stdout, "\r\n"
	}
	if to == nil {
		return nil
	}
	_, err := io.WriteString(to, why.Error()+end)
	return err
}
