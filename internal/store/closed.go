package store

import (
	"slices"
	"strings"

	"armada"
)

// CheckNodeName refuses what the forms cannot keep of a closed node: they have
// one name a line.
func CheckNodeName(name string) error {
	if name == "" || strings.ContainsAny(name, "\n\x00") {
		return &armada.Error{Code: armada.CodeInvalid, Message: "a node's name must not be empty or have more than one line"}
	}
	return nil
}

// CloseNode returns the names of closed nodes with one more, or without it.
func CloseNode(names, name string, closed bool) string {
	var all []string
	if names != "" {
		all = strings.Split(names, "\n")
	}
	at := slices.Index(all, name)
	switch {
	case closed && at < 0:
		all = append(all, name)
	case !closed && at >= 0:
		all = slices.Delete(all, at, at+1)
	}
	return strings.Join(all, "\n")
}

// ShowClosed marks those of the nodes that are closed by name.
func ShowClosed(nodes []armada.Node, names string) {
	if names == "" {
		return
	}
	closed := map[string]bool{}
	for name := range strings.SplitSeq(names, "\n") {
		closed[name] = true
	}
	for i := range nodes {
		nodes[i].Unschedulable = nodes[i].Unschedulable || closed[nodes[i].Name]
	}
}
