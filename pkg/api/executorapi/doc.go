// Package executorapi is the wire between executors and servers: leases out,
// reports in. It is generated from the .proto files beside it and never
// edited; package api says who may import it.
package executorapi
