package modelcheck

import (
	"fmt"
	"hash/maphash"
	"slices"
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

// search is a breadth-first search in progress. Numbers of states count from 0
// in the order in which they were met.
type search[S comparable, A any] struct {
	machine Machine[S, A]
	states  []S
	parent  []int32 // by which a state was met first
	numbers numbers[S]
	// The transitions out of state i lead to to[first[i]:first[i+1]].
	first, to []int32
}

// Check visits every reachable state, at most limit of them. A limit that is
// reached is a violation: nothing was proved.
func Check[S comparable, A any](m Machine[S, A], limit int) Result[S, A] {
	s := &search[S, A]{machine: m, numbers: newNumbers[S]()}
	s.visit(-1, m.Begin)
	for i := int32(0); int(i) < len(s.states); i++ {
		if wrong := m.Bad(s.states[i]); wrong != "" {
			return s.result(wrong, i)
		}
		if len(s.states) > limit {
			return s.result(fmt.Sprintf("there are more than %d states", limit), i)
		}
		s.first = append(s.first, int32(len(s.to))) //nolint:gosec // bounded by the limit
		m.Next(s.states[i], func(_ A, next S) {
			if to := s.visit(i, next); to != i {
				s.to = append(s.to, to)
			}
		})
	}
	s.first = append(s.first, int32(len(s.to))) //nolint:gosec // bounded by the limit
	if i := s.stuck(); i >= 0 {
		return s.result("no end can be reached any more", i)
	}
	return s.result("", -1)
}

// visit returns the number of a state, a new one if it was not met before.
func (s *search[S, A]) visit(parent int32, state S) int32 {
	number, fresh := s.numbers.of(state, s.states)
	if fresh {
		s.states, s.parent = append(s.states, state), append(s.parent, parent)
	}
	return number
}

// stuck returns the first state from which no goal can be reached, or -1. What
// reaches a goal is found in sweeps from the last state to the first, as most
// transitions lead to later ones.
func (s *search[S, A]) stuck() int32 {
	reaches := make([]bool, len(s.states))
	for i := range reaches {
		reaches[i] = s.machine.Goal(s.states[i])
	}
	for changed := true; changed; {
		changed = false
		for i := len(reaches) - 1; i >= 0; i-- {
			if reaches[i] {
				continue
			}
			for _, to := range s.to[s.first[i]:s.first[i+1]] {
				if reaches[to] {
					reaches[i], changed = true, true
					break
				}
			}
		}
	}
	for i, r := range reaches {
		if !r {
			return int32(i) //nolint:gosec // bounded by the limit
		}
	}
	return -1
}

func (s *search[S, A]) result(violation string, at int32) Result[S, A] {
	r := Result[S, A]{States: len(s.states), Transitions: len(s.to), Violation: violation}
	for ; at >= 0; at = s.parent[at] {
		step := Step[S, A]{State: s.states[at]}
		if parent := s.parent[at]; parent >= 0 {
			found := false
			s.machine.Next(s.states[parent], func(action A, next S) {
				if next == step.State && !found {
					step.Action, found = action, true
				}
			})
		}
		r.Trace = append(r.Trace, step)
	}
	slices.Reverse(r.Trace)
	return r
}

// numbers finds the number of a state by its hash. It holds no states itself,
// which makes it many times smaller than a map.
type numbers[S comparable] struct {
	seed  maphash.Seed
	slots []int32 // number + 1 of a state, at its hash or the next free slot; 0 is free
	used  int
}

func newNumbers[S comparable]() numbers[S] {
	return numbers[S]{seed: maphash.MakeSeed(), slots: make([]int32, 1<<10)}
}

// of returns the number of a state, and whether it is a new one: the next after
// those of states, which holds all that have one.
func (n *numbers[S]) of(state S, states []S) (number int32, fresh bool) {
	if n.used*2 >= len(n.slots) {
		old := n.slots
		n.slots = make([]int32, 2*len(old))
		for _, number := range old {
			if number != 0 {
				n.slots[n.slot(states[number-1], states)] = number
			}
		}
	}
	at := n.slot(state, states)
	if n.slots[at] != 0 {
		return n.slots[at] - 1, false
	}
	n.used++
	n.slots[at] = int32(n.used)    //nolint:gosec // bounded by the limit
	return int32(n.used - 1), true //nolint:gosec // bounded by the limit
}

// slot is where a state stands or belongs.
func (n *numbers[S]) slot(state S, states []S) uint64 {
	mask := uint64(len(n.slots) - 1)
	at := maphash.Comparable(n.seed, state) & mask
	for n.slots[at] != 0 && states[n.slots[at]-1] != state {
		at = (at + 1) & mask
	}
	return at
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
