package kubernetes

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"armada/internal/runs"
)

// Config is what an operator decides about pods and nodes of a cluster.
type Config struct {
	// Kubeconfig is the file that says where the cluster is; empty is the cluster
	// that this process runs in, as its service account.
	Kubeconfig string
	// Context picks one of the file's contexts; empty is its current one.
	Context string
	// QPS and Burst bound the requests to the API server, on our side.
	QPS   float64
	Burst int
	// ImpersonateUsers makes pods, services and ingresses in the name of the job's
	// owner and groups.
	ImpersonateUsers bool

	// NodeIDLabel is the label that tells nodes apart and that pods select theirs
	// by.
	NodeIDLabel string
	// BindDirectly writes the node into the pod instead of a selector: faster, and
	// the cluster's own scheduler has no say.
	BindDirectly bool
	// NodePoolLabel names the pool of a node, NodeTypeLabel what nodes alike are
	// called. Nodes without the first are in the executor's pool.
	NodePoolLabel string
	NodeTypeLabel string
	// NodeSelector is a label selector of the nodes to use, such as
	// armada=yes,!gpu; empty is all.
	NodeSelector string
	// ReservedPerNode is kept free on every node for what is not Armada's: what
	// other pods ask for counts as at least this much.
	ReservedPerNode map[string]string
	// ReservedPriority is the priority that the rest of it is counted at.
	ReservedPriority int32

	// SchedulerName is the cluster's scheduler for pods that name none.
	SchedulerName string
	// PriorityClass replaces the priority class of pods, for clusters that have not
	// Armada's; the scheduler still places by the job's own. "none" takes it away.
	PriorityClass string
	// Ingress completes the ingresses of jobs.
	Ingress Ingress

	// FatalSubmissionErrors are what the API server says of a pod that can never
	// be made, beside what it calls invalid or forbidden.
	FatalSubmissionErrors []runs.Pattern
	// Pending says when a pod that does not begin is given up, and how.
	Pending PendingChecks
	// Failed says which pods that failed never really ran.
	Failed FailedChecks
	// StuckTerminating is how long after the end of its grace period a deleted pod
	// may stay until it is deleted by force, and then until it is given up.
	StuckTerminating time.Duration
	// NodeLost is how long a node may be silent until its runs are given up.
	NodeLost time.Duration

	// KeepFinished is how long a finished pod stays after its end was told,
	// KeepFailed the same for one that failed, and KeepPods how many there may be, 0
	// for any number; then those go first whose queue has most of them.
	KeepFinished time.Duration
	KeepFailed   time.Duration
	KeepPods     int
	// KeepLogBytes is how much of the end of each container's log is kept when its
	// pod is gone; 0 keeps none.
	KeepLogBytes int64
	// KeepLogsIn is where.
	KeepLogsIn LogStorage
}

// Ingress completes the ingresses of jobs.
type Ingress struct {
	HostnameSuffix string
	CertNameSuffix string
	Annotations    map[string]string
}

// Action is what is done with a pod that a check finds.
type Action string

// The actions.
const (
	ActionFail  Action = "fail"  // the run has failed
	ActionRetry Action = "retry" // the lease is given back, and the job may run elsewhere
)

// PendingChecks say when a pod that does not begin is given up.
type PendingChecks struct {
	// Deadline is how long nothing at all may be heard of a pod, NodeAssignment
	// how long it may have no node, InitContainers how long its init containers
	// may take. 0 is no bound. What is past them is given back.
	Deadline       time.Duration
	NodeAssignment time.Duration
	InitContainers time.Duration
	// Events are rules for the events of a pod, ContainerStatuses for what its
	// containers wait for; the first that matches counts.
	Events            []EventRule
	ContainerStatuses []ContainerRule
}

// EventRule finds events.
type EventRule struct {
	Regexp  runs.Pattern
	Inverse bool   // those that do not match
	Type    string // Warning or Normal; empty is both
	Grace   time.Duration
	Action  Action
}

// ContainerRule finds containers that wait.
type ContainerRule struct {
	ReasonRegexp runs.Pattern
	Grace        time.Duration
	Action       Action
}

// FailedChecks say which pods that failed never really ran: their leases are
// given back.
type FailedChecks struct {
	Events      []runs.Pattern // of an event's message
	PodStatuses []runs.Pattern // of the pod's reason or message
	Containers  []runs.Pattern // of a container's reason or message
}

func pattern(text string) runs.Pattern { return runs.Pattern{Regexp: regexp.MustCompile(text)} }

// DefaultConfig returns what holds when nothing is set.
func DefaultConfig() Config {
	return Config{
		QPS: 1000, Burst: 2000,
		NodeIDLabel: "kubernetes.io/hostname", NodePoolLabel: "armadaproject.io/pool", NodeTypeLabel: "armadaproject.io/node-type",
		ReservedPerNode:       map[string]string{"cpu": "1", "memory": "200Mi"},
		ReservedPriority:      2000001000,
		Ingress:               Ingress{HostnameSuffix: "svc", CertNameSuffix: "ingress-tls-certificate"},
		FatalSubmissionErrors: []runs.Pattern{pattern("admission webhook"), pattern(`namespaces ".*" not found`)},
		Pending: PendingChecks{
			Deadline: 5 * time.Minute, NodeAssignment: 5 * time.Minute, InitContainers: 5 * time.Minute,
			Events: []EventRule{
				{Regexp: pattern("[Ff]ailed to pull image.*(failed to unpack|code = Unknown)"), Type: "Warning", Grace: 90 * time.Second, Action: ActionFail},
				{Regexp: pattern("nodes are available"), Inverse: true, Type: "Warning", Grace: 5 * time.Minute, Action: ActionRetry},
			},
			ContainerStatuses: []ContainerRule{
				{ReasonRegexp: pattern("^InvalidImageName$"), Action: ActionFail},
				{ReasonRegexp: pattern("^(ImagePullBackOff|ErrImagePull)$"), Grace: 15 * time.Minute, Action: ActionRetry},
				{ReasonRegexp: pattern("^ContainerCreating$|^PodInitializing$"), Grace: 15 * time.Minute, Action: ActionRetry},
				{ReasonRegexp: pattern(".*"), Grace: 5 * time.Minute, Action: ActionRetry},
			},
		},
		StuckTerminating: 30 * time.Second,
		NodeLost:         5 * time.Minute,
		KeepFinished:     3 * time.Minute, KeepFailed: 10 * time.Minute, KeepPods: 1000,
		KeepLogBytes: 1 << 20, KeepLogsIn: LogStorage{Region: "us-east-1"},
	}
}

// Validate tells everything that is wrong, by key.
func (c Config) Validate() error {
	var errs []error
	for _, d := range []struct {
		key string
		d   time.Duration
		min time.Duration
	}{
		{"pending.deadline", c.Pending.Deadline, 0},
		{"pending.nodeAssignment", c.Pending.NodeAssignment, 0},
		{"pending.initContainers", c.Pending.InitContainers, 0},
		{"stuckTerminating", c.StuckTerminating, time.Second},
		{"nodeLost", c.NodeLost, 10 * time.Second},
		{"keepFinished", c.KeepFinished, 0},
		{"keepFailed", c.KeepFailed, 0},
	} {
		if d.d < d.min {
			errs = append(errs, fmt.Errorf("%s: must be at least %s, is %s", d.key, d.min, d.d))
		}
	}
	for i, r := range c.Pending.Events {
		errs = append(errs, validateRule(fmt.Sprintf("pending.events[%d]", i), r.Regexp, r.Grace, r.Action))
		if r.Type != "" && r.Type != "Warning" && r.Type != "Normal" {
			errs = append(errs, fmt.Errorf("pending.events[%d].type: must be Warning, Normal or empty, is %q", i, r.Type))
		}
	}
	for i, r := range c.Pending.ContainerStatuses {
		errs = append(errs, validateRule(fmt.Sprintf("pending.containerStatuses[%d]", i), r.ReasonRegexp, r.Grace, r.Action))
	}
	if c.QPS <= 0 || c.Burst < 1 {
		errs = append(errs, errors.New("qps, burst: must be more than 0"))
	}
	if c.NodeIDLabel == "" && !c.BindDirectly {
		errs = append(errs, errors.New("nodeIDLabel: must name a label that tells nodes apart, unless bindDirectly is true"))
	}
	if _, err := nodeSelector(c.NodeSelector); err != nil {
		errs = append(errs, fmt.Errorf("nodeSelector: is no label selector: %w", err))
	}
	if c.KeepPods < 0 || c.KeepLogBytes < 0 {
		errs = append(errs, errors.New("keepPods, keepLogBytes: must not be negative"))
	}
	if err := c.KeepLogsIn.validate(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func validateRule(path string, p runs.Pattern, grace time.Duration, action Action) error {
	switch {
	case p.Regexp == nil:
		return fmt.Errorf("%s: has no regular expression", path)
	case grace < 0:
		return fmt.Errorf("%s.grace: must not be negative, is %s", path, grace)
	case action != ActionFail && action != ActionRetry:
		return fmt.Errorf("%s.action: must be %s or %s, is %q", path, ActionFail, ActionRetry, action)
	}
	return nil
}
