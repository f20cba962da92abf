package settings

import (
	"fmt"
	"strings"
)

// Kind is the sort of place a value came from, weakest first.
type Kind int

const (
	// Default is the value that the program came with.
	Default Kind = iota
	// File is the configuration file.
	File
	// Environment is a variable of the environment.
	Environment
	// Flag is a flag of the command line.
	Flag
)

// Source is where the value of a key came from. The zero value is the default.
type Source struct {
	Kind Kind
	// Name is the file's path, the variable's name or the flag's path.
	Name string
	// Line is the line in the file, from 1; 0 for the other kinds.
	Line int
}

// String says where to look: "default", "armada.yaml:12", "$ARMADA_X",
// "flag server.grpcAddr".
func (s Source) String() string {
	switch s.Kind {
	case Default:
		return "default"
	case File:
		return fmt.Sprintf("%s:%d", s.Name, s.Line)
	case Environment:
		return "$" + s.Name
	case Flag:
		return "flag " + s.Name
	}
	return fmt.Sprintf("source kind %d", int(s.Kind))
}

// A KeyError is one thing wrong with one key. [Load] returns all that it found,
// joined; errors.As finds the first.
type KeyError struct {
	// Source is where the key was given.
	Source Source
	// Path is the key, as it was written for an unknown one.
	Path string
	// Nearest is the known key that an unknown one resembles most; empty when
	// the key is known and its value is wrong.
	Nearest string
	// Err says what is wrong.
	Err error
}

func (e *KeyError) Error() string {
	var b strings.Builder
	b.WriteString(e.Source.String())
	b.WriteString(": ")
	if e.Path != "" && (e.Source.Kind != Flag || e.Source.Name != e.Path) {
		b.WriteString(e.Path)
		b.WriteString(": ")
	}
	b.WriteString(e.Err.Error())
	if e.Nearest != "" {
		fmt.Fprintf(&b, "; the nearest known key is %s", e.Nearest)
	}
	return b.String()
}

func (e *KeyError) Unwrap() error { return e.Err }
