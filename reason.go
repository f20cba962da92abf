package armada

import (
	"fmt"
	"strings"
)

// ReasonCode tells why a job was not placed. Behaviour hangs on the code, never
// on the text.
type ReasonCode uint8

// The reasons, from "nothing was asked yet" to "cannot ever fit".
const (
	ReasonNone           ReasonCode = iota
	ReasonNotConsidered             // the round ended before it was the job's turn
	ReasonNoExecutor                // no executor has reported nodes
	ReasonInsufficient              // no node has enough free resources now
	ReasonReserved                  // the nodes are kept for jobs that have waited for long
	ReasonTooLarge                  // no node is large enough even when empty
	ReasonNodeSelector              // no node matches selector or affinity
	ReasonTaints                    // every matching node has a taint that is not tolerated
	ReasonGangIncomplete            // not all members of the gang are queued
	ReasonGangDoesNotFit            // some members fit, not all together
	ReasonQueueCordoned             // the queue is cordoned
	ReasonQueueLimit                // the queue would hold more than it may
	ReasonRoundLimit                // the round has placed as much as it may
	ReasonGlobalRate                // all queues together start jobs too fast
	ReasonQueueRate                 // the queue starts jobs too fast
	ReasonOverFairShare             // the room is held by queues to which it is owed
	ReasonNodeClosed                // the nodes accept nothing new: cordoned, unschedulable or silent
	ReasonPreemptionRate            // no more runs may be preempted for it now
	ReasonFloating                  // too little is left of what pools share and no node has
	ReasonTooSmall                  // the matching nodes are for larger jobs
	ReasonOutbid                    // the room is held by runs that bid as much or more
	ReasonPodsOnly                  // the matching nodes' executors make pods and nothing else
)

var reasonTexts = [...]string{
	ReasonNone:           "",
	ReasonNotConsidered:  "not considered yet",
	ReasonNoExecutor:     "no executor has reported nodes for the pool",
	ReasonInsufficient:   "no node has enough free resources",
	ReasonReserved:       "the nodes are kept for jobs that have waited for long",
	ReasonTooLarge:       "no node is large enough",
	ReasonNodeSelector:   "no node matches the node selector or affinity",
	ReasonTaints:         "the matching nodes have taints that the job does not tolerate",
	ReasonGangIncomplete: "the gang waits for its other members",
	ReasonGangDoesNotFit: "the gang does not fit as a whole",
	ReasonQueueCordoned:  "the queue is cordoned",
	ReasonQueueLimit:     "the queue would hold more than its limits allow",
	ReasonRoundLimit:     "the round has placed as much as its limits allow",
	ReasonGlobalRate:     "the global scheduling rate is reached",
	ReasonQueueRate:      "the queue's scheduling rate is reached",
	ReasonOverFairShare:  "the room is held by queues to which it is owed",
	ReasonNodeClosed:     "the nodes accept nothing new",
	ReasonTooSmall:       "the matching nodes are for larger jobs",
	ReasonPreemptionRate: "no more runs of other queues may be preempted now",
	ReasonFloating:       "too little is left of what the pools share",
	ReasonOutbid:         "others bid as much or more",
	ReasonPodsOnly:       "the matching nodes' executors run pods without services, ingresses and gangs",
}

// hindrances are what nodes are that a reason ruled out.
var hindrances = map[ReasonCode]string{
	ReasonInsufficient: "too full",
	ReasonReserved:     "kept for others",
	ReasonTooLarge:     "too small",
	ReasonNodeSelector: "not selected",
	ReasonTaints:       "tainted",
	ReasonTooSmall:     "for larger jobs",
	ReasonPodsOnly:     "for pods alone",
	ReasonNodeClosed:   "closed",
}

// Reason tells why a job waits, with the figures behind it.
type Reason struct {
	Code     ReasonCode
	Pool     string
	Nodes    int        // nodes of the pool that were looked at
	Excluded []Excluded // how many of them each hindrance ruled out, most first
	Resource Resource   // what the nearest node, or whatever else bounds the job, is short of; may be none
	// Have and Want are members of a gang that are queued or would fit, and those
	// placed together; or jobs that may start now, and those that must together; or
	// the amount of Resource that there is, and the one asked for. For the limits of
	// a queue and of a round they are what it may hold, and what it would. For a
	// market they are the price that is bid, and the one to be outbid.
	Have, Want int64
	WouldDo    int // nodes on which the job would fit if it asked for no more than Have
}

// Excluded is how many nodes one hindrance ruled out.
type Excluded struct {
	Code  ReasonCode
	Nodes int
}

// String says the reason to a person in a line, without a full stop: what keeps
// the job off most hopeful nodes first, then how many nodes each hindrance ruled
// out, and what would help.
func (r Reason) String() string {
	if int(r.Code) >= len(reasonTexts) {
		return "unknown reason"
	}
	text := reasonTexts[r.Code]
	switch {
	case r.Code == ReasonGangIncomplete:
		return fmt.Sprintf("%s (%d of %d are queued)", text, r.Have, r.Want)
	case r.Code == ReasonGangDoesNotFit:
		return fmt.Sprintf("%s (%d of %d members would)", text, r.Have, r.Want)
	case r.Code == ReasonOutbid:
		return fmt.Sprintf("%s (it bids %v, and more than %v would do)", text, Price(r.Have), Price(r.Want))
	case r.Code == ReasonGlobalRate || r.Code == ReasonQueueRate:
		return fmt.Sprintf("%s (%d of %d may start now)", text, r.Have, r.Want)
	case r.Resource.Name != "" && (r.Code == ReasonQueueLimit || r.Code == ReasonRoundLimit):
		return fmt.Sprintf("%s (%s %s, and it would be %s)", text, r.Resource.Format(r.Have), r.Resource.Name, r.Resource.Format(r.Want))
	case r.Code == ReasonFloating:
		return fmt.Sprintf("%s (%s of %s %s)", text, r.Resource.Format(r.Have), r.Resource.Format(r.Want), r.Resource.Name)
	case r.Nodes == 0:
		return text
	}
	if help := r.help(); help != "" {
		return fmt.Sprintf("%s (%s; %s)", text, r.ruledOut(), help)
	}
	return fmt.Sprintf("%s (%s)", text, r.ruledOut())
}

// ruledOut counts the nodes, by what is the matter with them where that differs.
func (r Reason) ruledOut() string {
	if len(r.Excluded) < 2 {
		return fmt.Sprintf("%d looked at", r.Nodes)
	}
	counts := make([]string, len(r.Excluded))
	for i, e := range r.Excluded {
		counts[i] = fmt.Sprintf("%d %s", e.Nodes, hindrances[e.Code])
	}
	return fmt.Sprintf("%d nodes: %s", r.Nodes, strings.Join(counts, ", "))
}

// help tells how much less would be little enough, or how far the nearest node
// is from fitting.
func (r Reason) help() string {
	amount := func(n int64) string { return r.Resource.Format(n) + " " + r.Resource.Name }
	switch {
	case r.Resource.Name == "":
		return ""
	case r.WouldDo == 0 || r.Have <= 0:
		return fmt.Sprintf("the nearest has %s of %s", r.Resource.Format(r.Have), amount(r.Want))
	default:
		return fmt.Sprintf("%d would do if it asked for %s less", r.WouldDo, amount(r.Want-r.Have))
	}
}
