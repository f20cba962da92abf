// Package e2e tests the built binaries as their users meet them: armada and
// armadactl are started as processes, and the tests speak gRPC, REST and the
// command line with them. `make e2e` builds first and tells by ARMADA_BIN where
// the binaries are.
package e2e
