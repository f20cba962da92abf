// Package binoculars is the wire of looking into one cluster: logs of pods,
// closing of nodes. It is generated from binoculars.proto and never edited.
package binoculars
