package modelcheck

import (
	"fmt"
	"strings"
)

// Machine is a set of states and what may happen in each.
type Machine[S comparable, A any] struct {
	Begin S
	// Next calls yield with everything that may happen in a state and what it
	// leads to.
	Next func(s S, yield func(action A, next S))
	// Bad tells what is wrong with a state, "" when nothing is.
	Bad func(s S) string
	// Goal tells whether the state is an end that must stay in reach.
	Goal func(s S) bool
}

// Result tells what a check found.
type Result[S comparable, A any] struct {
	States, Transitions int
	// Violation is what is wrong; empty when nothing is. Trace is a shortest
	// way there from the first state, which is its first step.
	Violation string
	Trace     []Step[S, A]
}

// Step is one action and where it led.
type Step[S comparable, A any] struct {
	Action A
	State  S
}

// search is a breadth-first search in progress. Indices are those of states.
type search[S comparable, A any] struct {
	machine  Machine[S, A]
	index    map[S]int32
	states   []S
	parent   []int32
	action   []A // the one that led to the state first
	from, to []int32
}

// Check visits every reachable state, at most limit of them. A limit that is
// reached is a violation: nothing was proved.
func Check[S comparable, A any](m Machine[S, A], limit int) Result[S, A] {
	s := &search[S, A]{machine: m, index: make(map[S]int32)}
	var none A
	s.visit(-1, none, m.Begin)
	for i := 0; i < len(s.states); i++ {
		if wrong := m.Bad(s.states[i]); wrong != "" {
			return s.result(wrong, i)
		}
		if len(s.states) > limit {
			return s.result(fmt.Sprintf("there are more than %d states", limit), i)
		}
		m.Next(s.states[i], func(action A, next S) {
			s.visit(int32(i), action, next) //nolint:gosec // bounded by the limit
		})
	}
	if stuck := s.stuck(); stuck >= 0 {
		return s.result("no end can be reached any more", stuck)
	}
	return s.result("", -1)
}

func (s *search[S, A]) visit(parent int32, action A, state S) {
	i, seen := s.index[state]
	if !seen {
		i = int32(len(s.states)) //nolint:gosec // bounded by the limit
		s.index[state] = i
		s.states, s.parent, s.action = append(s.states, state), append(s.parent, parent), append(s.action, action)
	}
	if parent >= 0 && parent != i {
		s.from, s.to = append(s.from, parent), append(s.to, i)
	}
}

// stuck returns the first state from which no goal can be reached, or -1.
func (s *search[S, A]) stuck() int {
	// The transitions into a state stand together in into, from start[state].
	start := make([]int32, len(s.states)+1)
	for _, t := range s.to {
		start[t+1]++
	}
	for i := range s.states {
		start[i+1] += start[i]
	}
	into, next := make([]int32, len(s.to)), append([]int32(nil), start...)
	for i, t := range s.to {
		into[next[t]] = s.from[i]
		next[t]++
	}
	reaches := make([]bool, len(s.states))
	var todo []int32
	for i := range s.states {
		if s.machine.Goal(s.states[i]) {
			reaches[i] = true
			todo = append(todo, int32(i)) //nolint:gosec // bounded by the limit
		}
	}
	for len(todo) > 0 {
		t := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, f := range into[start[t]:start[t+1]] {
			if !reaches[f] {
				reaches[f] = true
				todo = append(todo, f)
			}
		}
	}
	for i, r := range reaches {
		if !r {
			return i
		}
	}
	return -1
}

func (s *search[S, A]) result(violation string, at int) Result[S, A] {
	r := Result[S, A]{States: len(s.states), Transitions: len(s.to), Violation: violation}
	for i := int32(at); i >= 0; i = s.parent[i] { //nolint:gosec // an index of a state
		r.Trace = append([]Step[S, A]{{s.action[i], s.states[i]}}, r.Trace...)
	}
	return r
}

// Story tells the trace to a person: every action with what it changed.
// Describe tells a state in parts that are compared one by one.
func (r Result[S, A]) Story(describe func(S) []string) string {
	var b strings.Builder
	var before []string
	for i, step := range r.Trace {
		now := describe(step.State)
		if i == 0 {
			b.WriteString("at first:\n")
		} else {
			fmt.Fprintf(&b, "%d. %v\n", i, step.Action)
		}
		for j, part := range now {
			if i == 0 || part != before[j] {
				fmt.Fprintf(&b, "       %s\n", part)
			}
		}
		before = now
	}
	fmt.Fprintf(&b, "=> %s\n", r.Violation)
	return b.String()
}
