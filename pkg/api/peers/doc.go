// Package peers is the wire on which replicas of the server ask each other for
// what only one of them knows. It is this project's own; it is generated from
// peers.proto and never edited.
package peers
