// Package load measures the whole system: clients, server, store, leader and
// executors in one process, over real gRPC on loopback. Each benchmark prints
// its value beside the limit that the project has set itself, and what the
// machine can do in the same run: a fixed loop and a durable write. They report
// and never fail on time. docs/benchmarks.md keeps what was measured.
package load
