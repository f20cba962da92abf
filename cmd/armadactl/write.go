package main

import (
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"armada"
)

// read reads a file; - is the standard input.
func (c *cli) read(file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(c.in)
	}
	return os.ReadFile(file)
}

// table is columns of text, each as wide as its widest entry.
type table struct {
	columns []string
	rows    [][]string
	// paint, if set, colours a cell of the column of that name.
	paint map[string]func(cell string) string
}

func (t *table) add(row ...string) { t.rows = append(t.rows, row) }

func (t *table) write(w io.Writer) error {
	widths := make([]int, len(t.columns))
	rows := append([][]string{t.columns}, t.rows...)
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for number, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2)
			if paint := t.paint[t.columns[i]]; paint != nil && number > 0 {
				cell = paint(cell)
			}
			line.WriteString(cell + gap)
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// colour is the number of a colour as terminals know it.
type colour string

const (
	uncoloured colour = ""
	red        colour = "31"
	green      colour = "32"
	yellow     colour = "33"
	cyan       colour = "36"
)

// coloured tells whether the output may have colours: in a terminal that has
// them, unless NO_COLOR is set to anything (https://no-color.org).
func (c *cli) coloured() bool {
	_, is := c.terminal()
	return is && c.environment("NO_COLOR") == "" && c.environment("TERM") != "dumb"
}

// dye gives a text a colour where there may be some.
func (c *cli) dye(text string, in colour) string {
	if in == uncoloured || !c.coloured() {
		return text
	}
	return "\x1b[" + string(in) + "m" + text + "\x1b[0m"
}

// colourOf is how a state is shown.
func colourOf(s armada.JobState) colour {
	switch s {
	case armada.JobSucceeded:
		return green
	case armada.JobFailed, armada.JobRejected:
		return red
	case armada.JobCancelled, armada.JobPreempted:
		return yellow
	case armada.JobRunning:
		return cyan
	default:
		return uncoloured
	}
}

// dyeState colours the name of a state.
func (c *cli) dyeState(name string) string {
	for _, s := range armada.JobStates() {
		if s.String() == name {
			return c.dye(name, colourOf(s))
		}
	}
	return name
}
