package modelcheck

import (
	"fmt"
	"strings"

	"armada"
)

// The figures of the model, in ticks.
const (
	lease  = 3
	margin = 1
	never  = 15 // an age that does not count
)

// The bounds of the model.
const (
	executors = 2
	attempts  = 2
	sessions  = 2
)

// State is the store, two leaders, two executors and the network between them.
// Attempts and sessions count from 1.
type State struct {
	Store    Store
	Leaders  [2]Leader
	Agents   [executors]Agent
	Networks [executors]Network
	Broken   breach // a promise that the last transition broke
}

// Store is what is remembered.
type Store struct {
	Job      armada.JobState
	Wish     armada.WishKind
	Attempts uint8
	Holder   uint8 // index of the executor of the current or latest run
	Run      armada.RunState
	Epoch    uint8
	Session  [executors]uint8
	Silence  [executors]uint8 // ticks since a heartbeat was committed, at most until given up
	Asked    bool             // a cancel was acknowledged
	Ends     uint8            // terminal events so far
}

// Leader is a replica that believes that it leads, with one decision that it
// has made and not committed yet. The i-th leads in epoch i+1.
type Leader struct {
	Intent  intent
	Attempt uint8 // that the decision is about
	Session uint8 // of the executor that is given up
}

type intent uint8

const (
	nothing intent = iota
	leaseToA
	leaseToB
	expire
	preempt
)

// Agent is an executor with its pods.
type Agent struct {
	Dead    bool
	Session uint8
	Age     uint8 // of the lease: ticks since the acknowledged heartbeat was sent
	Hurry   uint8 // ticks that are left to kill the pods, plus one; 0 is no hurry
	Pods    [attempts]pod
}

// pod is what an executor knows of an attempt.
type pod uint8

const (
	unknown      pod = iota
	running          // up to here: exists
	askedToStop      // on behalf of the server
	killed           // because the lease ends
	succeeded        // from here: is gone, and the server does not know that the executor knows
	failed           //
	stopped          //
	returned         //
	acknowledged     // is not to be started again in this session
	orphaned         // exists, and an executor that was dead has not adopted it yet
)

// exists tells whether there is a pod that the executor answers for.
func (p pod) exists() bool { return p == running || p == askedToStop || p == killed }
func (p pod) ended() bool  { return p >= succeeded && p <= returned }

// Network is what is under way between an executor and the store. A message
// that is under way stays there: it may arrive again, later, or never.
type Network struct {
	Beat Beat // the latest heartbeat
	Ack  Beat // the latest acknowledgement: session and age of its heartbeat
	// Valid is the attempt that the acknowledgement says the executor holds; 0
	// is none.
	Valid uint8
	// Starts and Stops are pushes by session and attempt, Reports the ends that
	// were reported in the executor's session by attempt.
	Starts, Stops uint8
	Reports       [attempts]pod
}

// Beat is a heartbeat; Session 0 is none.
type Beat struct{ Session, Age uint8 }

// bit is the place of a session and an attempt in a set.
func bit(session, attempt uint8) uint8 { return 1 << ((session-1)*attempts + attempt - 1) }

// breach is a promise that a transition breaks.
type breach uint8

const (
	kept breach = iota
	byDeposed
	afterTheEnd
	leasedAfterCancel
)

func executorName(e uint8) string { return string('A' + rune(e)) }

// Describe tells the state in parts: store, leaders, executors, network.
func Describe(s State) []string {
	st := &s.Store
	parts := []string{fmt.Sprintf("store: job %s, wish %s, epoch %d", st.Job, wishNames[st.Wish], st.Epoch)}
	if st.Attempts > 0 {
		parts[0] += fmt.Sprintf(", attempt %d on %s %s", st.Attempts, executorName(st.Holder), st.Run)
	}
	parts = append(parts, fmt.Sprintf("store: A in session %d silent for %d, B in session %d silent for %d",
		st.Session[0], st.Silence[0], st.Session[1], st.Silence[1]))
	for i, l := range s.Leaders {
		text := fmt.Sprintf("leader %d: means to %s", i+1, intentNames[l.Intent])
		if l.Intent == expire {
			text += fmt.Sprintf(" attempt %d of session %d", l.Attempt, l.Session)
		}
		parts = append(parts, text)
	}
	for e := range s.Agents {
		a := &s.Agents[e]
		text := fmt.Sprintf("executor %s: session %d, ", executorName(uint8(e)), a.Session)
		switch {
		case a.Dead:
			text = fmt.Sprintf("executor %s: dead, ", executorName(uint8(e)))
		case a.Age == never:
			text += "no lease"
		default:
			text += fmt.Sprintf("lease aged %d", a.Age)
		}
		for i, p := range a.Pods {
			if p != unknown {
				text += fmt.Sprintf(", attempt %d %s", i+1, podNames[p])
			}
		}
		parts = append(parts, text)
	}
	return append(parts, s.Networks[0].describe("A"), s.Networks[1].describe("B"))
}

func (n *Network) describe(executor string) string {
	var under []string
	if n.Beat.Session > 0 {
		under = append(under, fmt.Sprintf("heartbeat of session %d aged %d", n.Beat.Session, n.Beat.Age))
	}
	if n.Ack.Session > 0 {
		under = append(under, fmt.Sprintf("acknowledgement of session %d aged %d, attempt %d is held", n.Ack.Session, n.Ack.Age, n.Valid))
	}
	for session := uint8(1); session <= sessions; session++ {
		for attempt := uint8(1); attempt <= attempts; attempt++ {
			if n.Starts&bit(session, attempt) != 0 {
				under = append(under, fmt.Sprintf("start %d for session %d", attempt, session))
			}
			if n.Stops&bit(session, attempt) != 0 {
				under = append(under, fmt.Sprintf("stop %d for session %d", attempt, session))
			}
		}
	}
	for i, p := range n.Reports {
		if p != unknown {
			under = append(under, fmt.Sprintf("report %d %s", i+1, podNames[p]))
		}
	}
	return fmt.Sprintf("network of %s: %s", executor, strings.Join(under, ", "))
}

var (
	wishNames   = [...]string{"none", "cancel", "preempt"}
	intentNames = [...]string{"do nothing", "lease to A", "lease to B", "give up", "preempt"}
	podNames    = [...]string{"unknown", "runs", "runs and is asked to stop", "runs and is being killed", "succeeded", "failed", "stopped", "returned", "acknowledged", "is an orphan"}
	breachNames = [...]string{
		"", "a decision of a deposed leader was committed", "a job changed after its end", "a job was leased after its cancel was acknowledged",
	}
)
