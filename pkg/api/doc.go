// Package api is the wire: the messages and services that clients and
// executors of 2020 and of today speak with a server.
//
// The .proto files here and in the folders below are the source; everything
// else in these folders is generated from them by generate.sh and is never
// edited. Names and numbers are fixed by programs that others run: they are
// listed in testdata/wire.txt, and tests hold the files to that list. What
// this project adds has numbers from 1000 up, or a package of its own
// (lookout, peers).
//
// Only the edges import this package: internal/wire turns its messages into
// the vocabulary of the root package and back, internal/server and
// internal/executor serve and call it, pkg/client and armadactl use it. Its
// types never travel further inward.
//
// Kubernetes messages are generated too, below k8s/, from the .proto files of
// Kubernetes itself: docs/adr/0001-kubernetes-types-on-the-wire.md says why.
package api
