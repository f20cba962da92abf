package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"armada/pkg/api"
)

// details is what there is to say about an event beside its kind and its job,
// on one line; often nothing.
func details(m *api.EventMessage) string {
	switch e := m.GetEvents().(type) {
	case *api.EventMessage_Submitted:
		return "priority " + number(e.Submitted.GetJob().GetPriority())
	case *api.EventMessage_Leased:
		return phrases("executor ", e.Leased.GetClusterId(), "pool ", e.Leased.GetPool())
	case *api.EventMessage_LeaseReturned:
		return phrases("executor ", e.LeaseReturned.GetClusterId(), "", oneLine(e.LeaseReturned.GetReason()))
	case *api.EventMessage_Pending:
		return phrases("executor ", e.Pending.GetClusterId(), "pod ", e.Pending.GetPodName())
	case *api.EventMessage_Running:
		return phrases("node ", e.Running.GetNodeName(), "pod ", e.Running.GetPodName())
	case *api.EventMessage_Succeeded:
		return phrases("node ", e.Succeeded.GetNodeName())
	case *api.EventMessage_Failed:
		return failure(e.Failed)
	case *api.EventMessage_Cancelling:
		return phrases("by ", e.Cancelling.GetRequestor(), "", oneLine(e.Cancelling.GetReason()))
	case *api.EventMessage_Cancelled:
		return phrases("by ", e.Cancelled.GetRequestor(), "", oneLine(e.Cancelled.GetReason()))
	case *api.EventMessage_Reprioritizing:
		return phrases("to ", number(e.Reprioritizing.GetNewPriority()), "by ", e.Reprioritizing.GetRequestor())
	case *api.EventMessage_Reprioritized:
		return phrases("to ", number(e.Reprioritized.GetNewPriority()), "by ", e.Reprioritized.GetRequestor())
	case *api.EventMessage_Preempting:
		return phrases("by ", e.Preempting.GetRequestor(), "", oneLine(e.Preempting.GetReason()))
	case *api.EventMessage_Preempted:
		return phrases("for job ", e.Preempted.GetPreemptingJobId(), "by ", e.Preempted.GetRequestor(), "", oneLine(e.Preempted.GetReason()))
	case *api.EventMessage_IngressInfo:
		return addresses(e.IngressInfo.GetIngressAddresses())
	default:
		return ""
	}
}

// failure says why a run failed and how its containers ended.
func failure(e *api.JobFailedEvent) string {
	var codes []string
	for _, c := range e.GetContainerStatuses() {
		codes = append(codes, c.GetName()+"="+strconv.Itoa(int(c.GetExitCode())))
	}
	if codes == nil {
		byName := e.GetExitCodes() // servers of 2020 fill only this
		for _, name := range slices.Sorted(maps.Keys(byName)) {
			codes = append(codes, name+"="+strconv.Itoa(int(byName[name])))
		}
	}
	again := ""
	if e.GetRetryable() {
		again = "another attempt follows"
	}
	cause := ""
	if e.GetCause() != api.Cause_Error {
		cause = e.GetCause().String()
	}
	return phrases("", oneLine(e.GetReason()), "exit codes ", strings.Join(codes, " "), "", cause,
		"category ", strings.Trim(e.GetFailureCategory()+"/"+e.GetFailureSubcategory(), "/"),
		"node ", e.GetNodeName(), "", again)
}

func addresses(byPort map[int32]string) string {
	var texts []string
	for _, port := range slices.Sorted(maps.Keys(byPort)) {
		texts = append(texts, fmt.Sprintf("port %d at %s", port, byPort[port]))
	}
	return strings.Join(texts, ", ")
}

// phrases joins what is not empty of pairs of a lead and a text.
func phrases(pairs ...string) string {
	var said []string
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			said = append(said, pairs[i]+pairs[i+1])
		}
	}
	return strings.Join(said, ", ")
}

func number(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// oneLine is a text of any length made fit for a line.
func oneLine(text string) string {
	const most = 300
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "\uFFFD")), " ")
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1 // no escape sequence of a job reaches the terminal
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
