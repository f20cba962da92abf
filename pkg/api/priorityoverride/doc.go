// Package priorityoverride is the wire on which a server asks another service
// for shares that replace those of queues. It is generated from
// priorityoverride.proto and never edited.
package priorityoverride
