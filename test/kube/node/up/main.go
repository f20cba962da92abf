//go:build linux

// Command up makes the real node of the tests for people to try things on:
// `make node-up`, as root. Ctrl-C takes it away.
package main

import (
	"os"

	"armada/test/kube/node"
)

func main() { os.Exit(node.Up()) }
