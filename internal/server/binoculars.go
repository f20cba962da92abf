package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/emptypb"

	"armada"
	"armada/internal/auth"
	"armada/internal/runs"
	"armada/internal/store"
	"armada/pkg/api/binoculars"
)

// binocularsService is binoculars.Binoculars. Users of other years ask one such
// service per cluster; here the server answers for all of them.
type binocularsService struct {
	binoculars.UnimplementedBinocularsServer

	looking *lookoutService
}

// Cordon closes a node, so that nothing new is placed there, or opens it again.
func (s *binocularsService) Cordon(ctx context.Context, r *binoculars.CordonRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, s.cordon(ctx, r.GetNodeName(), !r.GetUncordon())
}

// cordon closes or opens the nodes of the name. One that was closed and is gone
// can be opened, so every executor is told.
func (s *binocularsService) cordon(ctx context.Context, node string, closed bool) error {
	if _, err := s.looking.auth.Authorize(ctx, auth.VerbCordonNodes, ""); err != nil {
		return err
	}
	var wrong violations
	if err := store.CheckNodeName(node); err != nil {
		wrong.add("node_name", "must be the name of a node")
	}
	if err := wrong.err("no node was changed"); err != nil {
		return err
	}
	all, err := s.looking.store.Executors(ctx)
	if err != nil {
		return fmt.Errorf("list the executors: %w", err)
	}
	var names []string
	var concerned []armada.ExecutorID
	for i := range all {
		has := false
		for n := range all[i].Nodes {
			names = append(names, all[i].Nodes[n].Name)
			has = has || all[i].Nodes[n].Name == node
		}
		if has || !closed {
			concerned = append(concerned, all[i].Executor.ID)
		}
	}
	if len(concerned) == 0 && closed {
		return &armada.Error{Code: armada.CodeNotFound, Message: fmt.Sprintf("could not find node %q%s", clip(node, 100), meant(node, names))}
	}
	for i, id := range concerned {
		err := s.looking.store.CordonNode(ctx, id, node, closed)
		if err != nil && i > 0 {
			return &partial{done: i, all: len(concerned), what: "changed the node at", of: "executors", cause: err}
		}
		if err != nil {
			return fmt.Errorf("change a node of executor %q: %w", id, err)
		}
	}
	return nil
}

// mostLogBytes bounds one answer.
const mostLogBytes = 2_000_000

// Logs answers the lines that the latest run of a job has printed so far, at most
// 2 MB of them, the oldest first.
func (s *binocularsService) Logs(ctx context.Context, r *binoculars.LogRequest) (*binoculars.LogResponse, error) {
	full, err := s.looking.find(ctx, armada.VerbWatch, r.GetJobId())
	if err != nil {
		return nil, err
	}
	query, err := s.logQuery(ctx, r, &full)
	if err != nil {
		return nil, err
	}
	if own := full.Details.Namespace; r.GetPodNamespace() != "" && r.GetPodNamespace() != own {
		return nil, &armada.Error{Code: armada.CodeNotFound, Message: fmt.Sprintf("the pod of the job is in the namespace %q, not in %q", own, clip(r.GetPodNamespace(), 63))}
	}
	run, err := runOf(&full, "", noLog)
	if err != nil {
		return nil, err
	}
	if s.looking.logs == nil {
		return nil, &armada.Error{Code: armada.CodeUnavailable, Message: "no executor can be reached from here"}
	}
	page := logPage{left: mostLogBytes, only: r.GetLogOptions().GetStream()}
	if limit := r.GetLogOptions().GetLimitBytes(); limit > 0 {
		page.left = min(page.left, limit)
	}
	err = s.looking.logs.Logs(ctx, run.Executor, run.ID, query, page.add)
	if err != nil && !errors.Is(err, errPageFull) {
		return nil, elsewhere(err, run)
	}
	return &binoculars.LogResponse{Log: page.lines}, nil
}

// logQuery reads which lines are wanted. Following is left out of account, as
// is whether there shall be times: they always are there.
func (s *binocularsService) logQuery(ctx context.Context, r *binoculars.LogRequest, full *store.FullJob) (runs.LogQuery, error) {
	o := r.GetLogOptions()
	query := runs.LogQuery{Container: o.GetContainer(), Tail: o.GetTailLines(), Previous: o.GetPrevious()}
	var wrong violations
	if r.GetPodNumber() != 0 {
		wrong.add("pod_number", fmt.Sprintf("is %d, must be 0: a job has one pod", r.GetPodNumber()))
	}
	if o.GetTailLines() < 0 {
		wrong.add("log_options.tailLines", fmt.Sprintf("is %d, must not be negative", o.GetTailLines()))
	}
	if o != nil && o.SinceSeconds != nil && o.GetSinceSeconds() <= 0 {
		wrong.add("log_options.sinceSeconds", fmt.Sprintf("is %d, must be more than 0", o.GetSinceSeconds()))
	}
	if o != nil && o.LimitBytes != nil && o.GetLimitBytes() <= 0 {
		wrong.add("log_options.limitBytes", fmt.Sprintf("is %d, must be more than 0", o.GetLimitBytes()))
	}
	switch stream := o.GetStream(); {
	case stream != "" && stream != streamAll && stream != streamStdout && stream != streamStderr:
		wrong.add("log_options.stream", fmt.Sprintf("is %q, must be All, Stdout or Stderr", clip(stream, 40)))
	case o.GetTailLines() > 0 && (stream == streamStdout || stream == streamStderr):
		wrong.add("log_options.tailLines", "cannot be given with one stream of two")
	}
	query.Since = s.since(r, &wrong)
	if err := wrong.err("there is no such log"); err != nil {
		return query, err
	}
	return query, s.looking.hasContainer(ctx, full, query.Container, noLog)
}

// since is from when on lines are wanted: three fields say it, of which one may
// be given.
func (s *binocularsService) since(r *binoculars.LogRequest, wrong *violations) time.Time {
	var since time.Time
	given := 0
	if text := r.GetSinceTime(); text != "" {
		given++
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			wrong.add("since_time", fmt.Sprintf("is %q, must be a time as in RFC 3339, 2006-01-02T15:04:05.999Z", clip(text, 60)))
		}
		since = at
	}
	if at := r.GetLogOptions().GetSinceTime(); at != nil {
		given++
		since = time.Unix(at.GetSeconds(), int64(at.GetNanos()))
	}
	if seconds := r.GetLogOptions().GetSinceSeconds(); seconds > 0 {
		given++
		since = s.looking.now().Add(-time.Duration(min(seconds, longestSince)) * time.Second)
	}
	if given > 1 {
		wrong.add("log_options", "at most one of since_time, sinceTime and sinceSeconds may be given")
	}
	return since
}

// longestSince is what a duration can hold many times over, in seconds.
const longestSince = 100 * 365 * 24 * 3600

// Which lines are wanted, in Kubernetes' words.
const (
	streamAll    = "All"
	streamStdout = "Stdout"
	streamStderr = "Stderr"
)

// logPage gathers lines until there is no room for more.
type logPage struct {
	left  int64
	only  string
	lines []*binoculars.LogLine
}

// errPageFull ends the reading of a log.
var errPageFull = errors.New("the answer has no room for more")

func (p *logPage) add(l runs.LogLine) error {
	if p.only == streamStdout && l.Stderr || p.only == streamStderr && !l.Stderr {
		return nil
	}
	text := l.Text
	if p.left -= int64(len(text)) + 1; p.left < 0 {
		text = text[:max(0, int64(len(text))+1+p.left)]
	}
	if p.left >= 0 || len(text) > 0 {
		p.lines = append(p.lines, &binoculars.LogLine{
			Timestamp: l.Time.UTC().Format(time.RFC3339Nano), Line: strings.ToValidUTF8(string(text), "\uFFFD"),
		})
	}
	if p.left <= 0 {
		return errPageFull
	}
	return nil
}
