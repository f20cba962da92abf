package armada

import "fmt"

// ReasonCode tells why a job was not placed. Behaviour hangs on the code, never
// on the text.
type ReasonCode uint8

// The reasons, from "nothing was asked yet" to "cannot ever fit".
const (
	ReasonNone           ReasonCode = iota
	ReasonNotConsidered             // the round ended before it was the job's turn
	ReasonNoExecutor                // no executor has reported nodes
	ReasonInsufficient              // no node has enough free resources now
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
	ReasonOutbid                    // the room is held by runs that bid as much or more
)

var reasonTexts = [...]string{
	ReasonNone:           "",
	ReasonNotConsidered:  "not considered yet",
	ReasonNoExecutor:     "no executor has reported nodes for the pool",
	ReasonInsufficient:   "no node has enough free resources",
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
	ReasonPreemptionRate: "no more runs of other queues may be preempted now",
	ReasonFloating:       "too little is left of what the pools share",
	ReasonOutbid:         "others bid as much or more",
}

// Reason tells why a job waits, with the figures behind it.
type Reason struct {
	Code     ReasonCode
	Pool     string
	Nodes    int        // nodes of the pool that were looked at
	Excluded []Excluded // how many of them each hindrance ruled out, most first
	Resource string     // the resource that is short; may be empty
	// Have and Want are members of a gang that are queued or would fit, and those
	// placed together; or jobs that may start now, and those that must together; or
	// the amount of Resource that there is, and the one asked for. For the limits of
	// a queue and of a round they are what it may hold, and what it would. For a
	// market they are the price that is bid, and the one to be outbid.
	Have, Want int64
}

// Excluded is how many nodes one hindrance ruled out.
type Excluded struct {
	Code  ReasonCode
	Nodes int
}

// String says the reason to a person, without a full stop.
func (r Reason) String() string {
	if int(r.Code) >= len(reasonTexts) {
		return "unknown reason"
	}
	text := reasonTexts[r.Code]
	switch r.Code {
	case ReasonGangIncomplete:
		return fmt.Sprintf("%s (%d of %d are queued)", text, r.Have, r.Want)
	case ReasonGangDoesNotFit:
		return fmt.Sprintf("%s (%d of %d members would)", text, r.Have, r.Want)
	case ReasonInsufficient, ReasonTooLarge, ReasonNodeSelector, ReasonTaints:
		text = fmt.Sprintf("%s (%d looked at", text, r.Nodes)
		if r.Resource != "" {
			text += ", short of " + r.Resource
		}
		return text + ")"
	case ReasonOutbid:
		return fmt.Sprintf("%s (it bids %v, and more than %v would do)", text, Price(r.Have), Price(r.Want))
	case ReasonGlobalRate, ReasonQueueRate:
		if r.Want > 1 {
			text = fmt.Sprintf("%s (%d of %d may start now)", text, r.Have, r.Want)
		}
		return text
	case ReasonQueueLimit, ReasonRoundLimit, ReasonFloating:
		if r.Resource != "" {
			text = fmt.Sprintf("%s (of %s)", text, r.Resource)
		}
		return text
	default:
		return text
	}
}
