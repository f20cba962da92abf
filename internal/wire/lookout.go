package wire

import (
	"strings"

	"google.golang.org/protobuf/proto"

	"armada"
	"armada/internal/podspec"
	"armada/internal/runs"
	"armada/internal/store"
	"armada/pkg/api/lookout"
)

// LookoutJob writes a job with all its attempts. The requirements may be nil
// when they are not known any more; why is the reason it waits, if it does.
func LookoutJob(full *store.FullJob, r *armada.Requirements, table armada.ResourceTable, why string) *lookout.Job {
	job := &full.Job
	out := &lookout.Job{
		JobId:          string(job.ID),
		Queue:          job.Queue,
		JobSet:         string(job.JobSet),
		Owner:          job.Owner,
		Namespace:      full.Details.Namespace,
		State:          JobState(job.State),
		Priority:       float64(job.Priority),
		Annotations:    full.Details.Annotations,
		Submitted:      timestamp(job.Submitted),
		LastTransition: timestamp(job.Transitioned),
		Reason:         job.Reason,
	}
	if why != "" {
		out.Reason = why
	}
	out.CancelUser, out.CancelReason, _ = job.Cancellation()
	if r != nil {
		out.PriorityClass, out.Resources = r.PriorityClass, podspec.FormatResources(r.Resources, table)
	}
	for i := range full.Runs {
		out.Runs = append(out.Runs, lookoutRun(&full.Runs[i]))
	}
	return out
}

// Standing writes where a queued job stands.
func Standing(s armada.Standing) *lookout.Standing {
	const millionths = 1e6
	out := &lookout.Standing{Place: int32(s.Place), Queued: int32(s.Queued)}
	for _, p := range s.Pools {
		out.Pools = append(out.Pools, &lookout.PoolStanding{
			Pool: p.Pool, Queues: int32(p.Queues), Share: float64(p.Share) / millionths, FairShare: float64(p.FairShare) / millionths,
		})
	}
	return out
}

func lookoutRun(r *armada.Run) *lookout.Run {
	out := &lookout.Run{
		RunId:       string(r.ID),
		Executor:    string(r.Executor),
		Pool:        r.Pool,
		Node:        r.Node,
		State:       RunState(r),
		Leased:      timestamp(r.Leased),
		Pending:     timestamp(r.Pending),
		Started:     timestamp(r.Started),
		Finished:    timestamp(r.Finished),
		Reason:      r.End.Reason,
		Category:    r.End.Category,
		Subcategory: r.End.Subcategory,
	}
	if code, exited := exitCode(r.End.Containers); exited {
		out.ExitCode = proto.Int32(code)
	}
	for _, c := range r.End.Containers {
		out.Containers = append(out.Containers, &lookout.Container{Name: c.Name, ExitCode: c.ExitCode, Reason: c.Reason, Message: c.Message})
	}
	return out
}

// exitCode is that of the first container that ended badly, else 0.
func exitCode(containers []armada.ContainerEnd) (int32, bool) {
	for _, c := range containers {
		if c.ExitCode != 0 {
			return c.ExitCode, true
		}
	}
	return 0, len(containers) > 0
}

// LogQuery reads which lines of a log are wanted.
func LogQuery(r *lookout.LogsRequest) runs.LogQuery {
	return runs.LogQuery{Container: r.GetContainer(), Tail: r.GetTailLines(), Since: instant(r.GetSince()), Follow: r.GetFollow()}
}

// LogsRequest asks for lines of a run's log.
func LogsRequest(run armada.RunID, q runs.LogQuery) *lookout.LogsRequest {
	return &lookout.LogsRequest{RunId: string(run), Container: q.Container, TailLines: q.Tail, Since: timestamp(q.Since), Follow: q.Follow}
}

// Where a line came from.
const (
	stdout = "stdout"
	stderr = "stderr"
)

// LogLine writes one line of a log.
func LogLine(l runs.LogLine) *lookout.LogLine {
	stream := stdout
	if l.Stderr {
		stream = stderr
	}
	return &lookout.LogLine{
		Timestamp: timestamp(l.Time), Container: l.Container, Stream: stream, Line: strings.ToValidUTF8(string(l.Text), "�"),
	}
}

// ReadLogLine reads one line of a log.
func ReadLogLine(l *lookout.LogLine) runs.LogLine {
	return runs.LogLine{Time: instant(l.GetTimestamp()), Container: l.GetContainer(), Stderr: l.GetStream() == stderr, Text: []byte(l.GetLine())}
}
