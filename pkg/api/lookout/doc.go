// Package lookout is the wire of finding jobs and looking into them, for the
// web UI and the command line. It is this project's own; it is generated from
// lookout.proto and never edited.
package lookout
