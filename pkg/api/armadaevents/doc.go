// Package armadaevents is the form in which executors report what happened to
// runs. It is generated from events.proto and never edited. Its strings may
// hold bytes that are not UTF-8: internal/wire repairs them on the way in.
package armadaevents
