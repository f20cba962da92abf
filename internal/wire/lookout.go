package wire

import (
	"strings"

	"google.golang.org/protobuf/proto"

	"armada"
	"armada/internal/podspec"
	"armada/internal/runs"
	"armada/internal/scheduling"
	"armada/internal/store"
	"armada/pkg/api/executorapi"
	"armada/pkg/api/lookout"
)

// LookoutJob writes a job with all its attempts. Why is the reason it waits, if it
// does; thorough tells what helps to find out why runs ended too.
func LookoutJob(full *store.FullJob, table armada.ResourceTable, why string, thorough bool) *lookout.Job {
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
	if r := full.Needs; r != nil {
		out.PriorityClass, out.Resources = r.PriorityClass, podspec.FormatResources(r.Resources, table)
	}
	for i := range full.Runs {
		run := lookoutRun(&full.Runs[i])
		if thorough {
			run.Debug = full.Runs[i].End.Debug
		}
		out.Runs = append(out.Runs, run)
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
		Attempt:     int32(r.Attempt),
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
	return runs.LogQuery{
		Container: r.GetContainer(), Tail: r.GetTailLines(), Since: instant(r.GetSince()), Follow: r.GetFollow(), Previous: r.GetPrevious(),
	}
}

// LogsRequest asks for lines of a run's log.
func LogsRequest(run armada.RunID, q runs.LogQuery) *lookout.LogsRequest {
	return &lookout.LogsRequest{
		RunId: string(run), Container: q.Container, TailLines: q.Tail, Since: timestamp(q.Since), Follow: q.Follow, Previous: q.Previous,
	}
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

// states writes how many jobs are in which state, without those in which there are
// none.
func states(jobs *store.StateCounts) map[string]int64 {
	out := map[string]int64{}
	for _, s := range armada.JobStates() {
		if jobs[s] != 0 {
			out[JobState(s).String()] = jobs[s]
		}
	}
	return out
}

// JobGroup writes a group of jobs.
func JobGroup(g *store.Group, by store.Column) *lookout.JobGroup {
	out := &lookout.JobGroup{Value: g.Value, Count: g.Jobs.Total(), States: states(&g.Jobs), Submitted: times(g.Submitted), LastTransition: times(g.Transitioned)}
	if by.Field == store.FieldState {
		out.Value = strings.ToUpper(g.Value)
	}
	return out
}

// times writes what times have in common, nil when there are none.
func times(s store.Span) *lookout.Times {
	if s == (store.Span{}) {
		return nil
	}
	return &lookout.Times{Earliest: timestamp(s.Earliest), Latest: timestamp(s.Latest), Mean: timestamp(s.Mean)}
}

// JobSetSummary writes a job set with its jobs by state.
func JobSetSummary(s *store.JobSetSummary) *lookout.JobSetSummary {
	return &lookout.JobSetSummary{Queue: s.Queue, JobSet: string(s.JobSet), Count: s.Jobs.Total(), States: states(&s.Jobs)}
}

// QueueSummary writes a queue with its jobs by state, its shares and its changes.
func QueueSummary(q *armada.Queue, jobs *store.StateCounts, shares []*lookout.QueueShare) *lookout.QueueSummary {
	summary := &lookout.QueueSummary{Name: q.Name, PriorityFactor: q.PriorityFactor, Cordoned: q.Cordoned, States: states(jobs), Shares: shares}
	for _, c := range q.Changes {
		summary.Changes = append(summary.Changes, &lookout.QueueChange{Time: timestamp(c.At), By: c.By, What: c.What})
	}
	return summary
}

// QueueShare writes what a queue has of a pool.
func QueueShare(pool string, q *scheduling.QueueReport, table armada.ResourceTable) *lookout.QueueShare {
	const millionths = 1e6
	out := &lookout.QueueShare{
		Pool: pool, Weight: q.Weight, Share: float64(q.Share) / millionths, Demand: float64(q.Demand) / millionths,
		FairShare: float64(q.FairShare) / millionths, AdjustedFairShare: float64(q.AdjustedShare) / millionths,
		Queued: int32(q.Queued), Allocated: podspec.FormatResources(q.Allocated, table),
	}
	if q.Stopped.Code != armada.ReasonNone {
		out.Stopped = q.Stopped.String()
	}
	return out
}

// JobChange writes a job that changed.
func JobChange(j *store.JobAndRun, matches bool) *lookout.JobChange {
	out := &lookout.JobChange{
		JobId: string(j.Job.ID), Queue: j.Job.Queue, JobSet: string(j.Job.JobSet), State: JobState(j.Job.State),
		Matches: matches, LastTransition: timestamp(j.Job.Transitioned),
	}
	if j.Run != nil {
		out.Executor, out.Node = string(j.Run.Executor), j.Run.Node
	}
	return out
}

// RunSpec writes what a run was started as.
func RunSpec(l *executorapi.JobRunLease) *lookout.RunSpec {
	meta := l.GetJob().GetObjectMeta()
	return &lookout.RunSpec{
		RunId: l.GetJobRunId(), Spec: l.GetJob().GetMainObject().GetPodSpec().GetPodSpec(),
		Labels: meta.GetLabels(), Annotations: meta.GetAnnotations(),
	}
}

// Holding is what jobs hold of a node or of an executor.
type Holding struct {
	Jobs int
	Used armada.Resources
}

// ExecutorSummary writes an executor with what jobs hold of it.
func ExecutorSummary(e *armada.Executor, nodes []*lookout.NodeSummary, allocatable armada.Resources, held Holding, count int, table armada.ResourceTable) *lookout.ExecutorSummary {
	return &lookout.ExecutorSummary{
		Executor: string(e.ID), LastHeard: timestamp(e.Acknowledged), Cordoned: e.Cordoned, CordonReason: e.CordonReason,
		NodeCount: int32(count), Jobs: int32(held.Jobs), Allocatable: podspec.FormatResources(allocatable, table),
		Used: podspec.FormatResources(held.Used, table), Nodes: nodes,
	}
}

// NodeSummary writes a node with what jobs hold of it.
func NodeSummary(n *armada.Node, held Holding, table armada.ResourceTable) *lookout.NodeSummary {
	var others armada.Resources
	for i := range n.Others {
		others = others.Add(n.Others[i].Used)
	}
	return &lookout.NodeSummary{
		Name: n.Name, Pool: n.Pool, NodeType: n.Type, Unschedulable: n.Unschedulable, Jobs: int32(held.Jobs),
		Allocatable: podspec.FormatResources(n.Allocatable, table), Used: podspec.FormatResources(held.Used, table),
		UsedByOthers: podspec.FormatResources(others, table), Labels: n.Labels,
	}
}
