package lifecycle

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"armada"
)

var update = flag.Bool("update", false, "write docs/lifecycle.md anew")

// picture is where the generated description of the rules stands.
const picture = "../../docs/lifecycle.md"

func TestThePictureInTheDocsIsCurrent(t *testing.T) {
	t.Parallel()
	want := render()
	if *update {
		if err := os.WriteFile(picture, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(picture)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Error("docs/lifecycle.md does not show the rules as they are: run go generate ./internal/lifecycle")
	}
}

// render describes [Rules] in Markdown.
func render() string {
	var b strings.Builder
	b.WriteString(`<!-- Generated from internal/lifecycle: go generate ./internal/lifecycle -->
# The life of a job

A job is queued, gets a run (leased, pending, running) and ends. Arrows are changes; where a job with a run has a wish,
the wish says how it ends. What is not drawn cannot happen: it is answered as a repeat or refused as too late.
A job is rejected when it is certain that it can never run: docs/adr/0013-who-can-never-run.md says when that is.

`)
	b.WriteString("```mermaid\n")
	diagram(&b)
	b.WriteString("```\n\n## Every transition\n\nOf the rules for one change the first that fits counts.\n\n")
	b.WriteString("| change | the job is | wish | if | the job becomes | its run becomes | wish becomes | events |\n|---|---|---|---|---|---|---|---|\n")
	for _, r := range Rules() {
		wish := "any"
		if r.Wish != AnyWish {
			wish = wishName(r.Wish)
		}
		to, run, wants := "", "", ""
		if r.To != 0 {
			to = r.To.String()
		}
		if r.Run != 0 {
			run = r.Run.String()
		}
		if r.Wants != armada.WishNone {
			wants = wishName(r.Wants)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s |\n", r.On, joined(r.From), wish, r.Guard, to, run, wants, events(r))
	}
	b.WriteString(`
A preempted job's end is told by two events, preempted and then failed, because watchers of the original count only
the second one. Every other end is one event.

## Changes that change nothing

A change without a rule is *already true* (a repeat, answered with success) or *refused* (too late, or about another run or
by another executor). A state that stands under both is that of a job with and without an earlier run.

| change | without wish | cancel wanted | preemption wanted |
|---|---|---|---|
`)
	for _, kind := range ChangeKinds() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", kind, without(kind, armada.WishNone), without(kind, armada.WishCancel), without(kind, armada.WishPreempt))
	}
	return b.String()
}

// diagram draws the states and the changes between them.
func diagram(b *strings.Builder) {
	b.WriteString("stateDiagram-v2\n    [*] --> queued: submit\n    state \"has a run\" as run {\n        [*] --> leased\n")
	type edge struct{ from, to string }
	var order []edge
	labels := map[edge][]string{}
	for _, r := range Rules() {
		if r.To == 0 {
			continue
		}
		label := r.On.String()
		switch {
		case r.Wish != AnyWish && r.Wish != armada.WishNone:
			label += " (" + wishName(r.Wish) + " wanted)"
		case r.Guard == Exhausted, r.Guard == RunsAgain:
			label += " (" + r.Guard.String() + ")"
		}
		froms := []string{"run"}
		if len(r.From) < 3 {
			froms = strings.Split(joined(r.From), ", ")
		}
		for _, from := range froms {
			e := edge{from, r.To.String()}
			if labels[e] == nil {
				order = append(order, e)
			}
			labels[e] = append(labels[e], label)
		}
	}
	inner := []string{armada.JobPending.String(), armada.JobRunning.String()}
	draw := func(inside bool, indent string) {
		for _, e := range order {
			if slices.Contains(inner, e.to) == inside {
				fmt.Fprintf(b, "%s%s --> %s: %s\n", indent, e.from, e.to, strings.Join(labels[e], "<br>"))
			}
		}
	}
	draw(true, "        ")
	b.WriteString("    }\n")
	draw(false, "    ")
	for _, s := range armada.JobStates() {
		if s.Terminal() {
			fmt.Fprintf(b, "    %s --> [*]\n", s)
		}
	}
}

func wishName(w armada.WishKind) string {
	return map[armada.WishKind]string{armada.WishNone: "none", armada.WishCancel: "cancel", armada.WishPreempt: "preempt"}[w]
}

func joined(states []armada.JobState) string {
	names := make([]string, len(states))
	for i, s := range states {
		names[i] = s.String()
	}
	return strings.Join(names, ", ")
}

func events(r Rule) string {
	if r.On == Preempt {
		return "preempting, if a user asked"
	}
	names := make([]string, len(r.Emits))
	for i, k := range r.Emits {
		names[i] = k.String()
	}
	return strings.Join(names, ", ")
}

// without says what becomes of a change in the states where no rule applies it.
func without(kind ChangeKind, wish armada.WishKind) string {
	words := map[Verdict][]string{}
	reachable(func(l *life) {
		if l.job.Wish.Kind != wish || l.job.Attempts > 1 {
			return
		}
		after := *l
		if after.apply(Change{Kind: kind, Priority: 9, End: armada.RunEnd{Debug: "news"}}); after.verdict != Applied && !slices.Contains(words[after.verdict], l.job.State.String()) {
			words[after.verdict] = append(words[after.verdict], l.job.State.String())
		}
	})
	var parts []string
	for _, v := range []struct {
		verdict Verdict
		name    string
	}{{Already, "already true"}, {Refused, "refused"}} {
		var states []string
		for _, s := range armada.JobStates() { // in the order of a life
			if slices.Contains(words[v.verdict], s.String()) {
				states = append(states, s.String())
			}
		}
		if len(states) > 0 {
			parts = append(parts, v.name+": "+strings.Join(states, ", "))
		}
	}
	return strings.Join(parts, "; ")
}
