package runstest

import (
	"fmt"
	"strings"
)

// Deed is what a command shall do, in this order.
type Deed struct {
	Print    string // a line on its output
	Complain string // a line on its errors
	Bulk     int    // so many bytes on its output, all of them a dot
	Echo     bool   // its input on its output, to the input's end
	// Sizes prints the size of its terminal as WIDTHxHEIGHT, and once more when it
	// has changed.
	Sizes    bool
	Forever  bool // it does not end by itself
	ExitCode int32
}

// Shell is a script of sh that does a deed.
func Shell(d Deed) string {
	var s strings.Builder
	if d.Print != "" {
		fmt.Fprintf(&s, "echo '%s'\n", d.Print)
	}
	if d.Complain != "" {
		fmt.Fprintf(&s, "echo '%s' >&2\n", d.Complain)
	}
	if d.Bulk > 0 {
		fmt.Fprintf(&s, "head -c %d /dev/zero | tr '\\0' .\n", d.Bulk)
	}
	if d.Echo {
		s.WriteString("cat\n")
	}
	if d.Sizes {
		s.WriteString("size() { set -- $(stty size); echo ${2}x$1; }\nchanged=\ntrap changed=yes WINCH\nsize\n" +
			"while [ ! $changed ]; do sleep 0.05; done\nsize\n")
	}
	if d.Forever {
		s.WriteString("while :; do sleep 1000; done\n")
	}
	fmt.Fprintf(&s, "exit %d\n", d.ExitCode)
	return s.String()
}

// Steps are the arguments for a program that does what its arguments say, as the
// played kubelet's and the actor of the real node are.
func Steps(d Deed) []string {
	var steps []string
	add := func(is bool, step string, value any) {
		if is {
			steps = append(steps, step+fmt.Sprint(value))
		}
	}
	add(d.Print != "", "print=", d.Print)
	add(d.Complain != "", "complain=", d.Complain)
	add(d.Bulk > 0, "bulk=", d.Bulk)
	add(d.Echo, "echo", "")
	add(d.Sizes, "sizes", "")
	add(d.Forever, "stay", "")
	add(true, "exit=", d.ExitCode)
	return steps
}
