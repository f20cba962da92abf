package simulator

import (
	"bytes"
	"errors"
	"os"
	"regexp"
	"strconv"

	"gopkg.in/yaml.v3"

	"armada/internal/settings"
)

// LoadClusters reads a file of clusters. Errors name file, line and field, all
// that is wrong at once.
func LoadClusters(file string, rules Rules) (Clusters, error) {
	c, err := load[Clusters](file)
	if err != nil {
		return c, err
	}
	return c, located(file, c.check(rules))
}

// LoadWorkload reads a file of queues and their jobs. Errors are as those of
// [LoadClusters].
func LoadWorkload(file string, rules Rules) (Workload, error) {
	w, err := load[Workload](file)
	if err != nil {
		return w, err
	}
	return w, located(file, w.check(rules))
}

func load[T any](file string) (T, error) {
	var nothing T
	read, _, err := settings.Load(nothing, settings.Sources{File: file})
	return read, err
}

// problem is one thing wrong with one field.
type problem struct {
	path string // such as queues[0].jobTemplates[2].number
	err  error
}

// joined makes an error of problems without a file; nil when there are none.
func joined(problems []problem) error {
	var errs []error
	for _, p := range problems {
		errs = append(errs, &fieldError{p})
	}
	return errors.Join(errs...)
}

type fieldError struct{ problem }

func (e *fieldError) Error() string { return e.path + ": " + e.err.Error() }
func (e *fieldError) Unwrap() error { return e.err }

// located makes an error of problems, each with the line of its field.
func located(file string, problems []problem) error {
	if len(problems) == 0 {
		return nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var document yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(content)).Decode(&document); err != nil {
		document = yaml.Node{} // empty: everything is missing on line 1
	}
	var errs []error
	for _, p := range problems {
		errs = append(errs, &settings.KeyError{
			Source: settings.Source{Kind: settings.File, Name: file, Line: lineOf(&document, p.path)}, Path: p.path, Err: p.err,
		})
	}
	return errors.Join(errs...)
}

// step is a key of a path, or an index.
var step = regexp.MustCompile(`[^.\[\]]+`)

// lineOf is the line of a field, or of the nearest thing around it that stands
// in the file.
func lineOf(document *yaml.Node, path string) int {
	line, at := 1, document
	if len(document.Content) > 0 {
		at = document.Content[0]
	}
	for _, name := range step.FindAllString(path, -1) {
		var found *yaml.Node
		switch i, err := strconv.Atoi(name); {
		case at.Kind == yaml.SequenceNode && err == nil && i < len(at.Content):
			found = at.Content[i]
			line = found.Line
		case at.Kind == yaml.MappingNode:
			for k := 0; k+1 < len(at.Content); k += 2 {
				if at.Content[k].Value == name {
					line, found = at.Content[k].Line, at.Content[k+1]
				}
			}
		}
		if found == nil {
			break
		}
		at = found
	}
	return line
}
