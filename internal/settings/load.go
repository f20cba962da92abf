package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"armada/pkg/nearest"
)

// Sources names where values may come from. The zero value names nothing, and
// the defaults remain.
type Sources struct {
	// File is the path of the YAML file; empty for none. A file that is named
	// must exist.
	File string
	// Prefix begins the names of our variables, without the underscore: ARMADA.
	Prefix string
	// Environment is a list of NAME=value as os.Environ returns it. A variable
	// with an empty value counts as not set.
	Environment []string
	// Flags are texts by path. An empty text is a value too.
	Flags map[string]string
}

// Load returns the defaults with everything the sources say put over them, and
// where each value came from. T is a struct as the package comment describes
// it; a T that cannot be read is an error that names the field, whatever the
// sources say. Values of the defaults that nobody replaced are shared with the
// result, not copied.
//
// With an error the returned tree is not usable. Errors about keys are
// [*KeyError], all of them joined, in the order of the sources and lines; only
// when there are none are the Validate methods called, and their errors begin
// with the path of the section.
func Load[T any](defaults T, from Sources) (T, *Effective, error) {
	tree := reflect.ValueOf(&defaults).Elem()
	known, err := schemaOf(tree.Type(), from.Prefix)
	if err != nil {
		return defaults, nil, err
	}
	l := &loader{schema: known, tree: tree, sources: map[string]Source{}}
	if from.File != "" {
		if err := l.file(from.File); err != nil {
			return defaults, nil, fmt.Errorf("reading the configuration: %w", err)
		}
	}
	unused := l.environment(from.Prefix, from.Environment)
	l.flags(from.Flags)
	if len(l.problems) > 0 {
		return defaults, nil, errors.Join(l.problems...)
	}
	if err := errors.Join(validate(tree, "")...); err != nil {
		return defaults, nil, err
	}
	return defaults, &Effective{
		tree: tree, schema: known, prefix: from.Prefix, sources: l.sources, UnusedEnvironment: unused,
	}, nil
}

// A loader puts one source after the other over a tree and collects what is
// wrong on the way.
type loader struct {
	schema   *schema
	tree     reflect.Value
	sources  map[string]Source // of the leaves that a source set
	problems []error
}

func (l *loader) problem(source Source, path string, err error) {
	l.problems = append(l.problems, &KeyError{Source: source, Path: path, Err: err})
}

func (l *loader) unknown(source Source, path string) {
	paths := slices.Collect(maps.Keys(l.schema.byPath))
	paths = slices.AppendSeq(paths, maps.Keys(l.schema.sections))
	slices.Sort(paths)
	l.problems = append(l.problems, &KeyError{
		Source: source, Path: path, Nearest: nearest.Path(path, paths), Err: errUnknownKey,
	})
}

var errUnknownKey = errors.New("unknown key")

// set puts a value that was read over a leaf.
func (l *loader) set(at leaf, value reflect.Value, source Source) {
	l.tree.FieldByIndex(at.index).Set(value)
	l.sources[at.path] = source
}

// file reads the YAML file. The error is for what makes the whole unreadable;
// what is wrong with single keys becomes a problem.
func (l *loader) file(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return l.document(path, content)
}

func (l *loader) document(name string, content []byte) error {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var document, second yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil // empty
	} else if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := decoder.Decode(&second); err == nil {
		return fmt.Errorf("%s:%d: a second YAML document begins here; one is allowed", name, second.Line)
	} else if !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, root := range document.Content {
		l.section(name, root, "")
	}
	return nil
}

// section reads the keys of one struct of the tree.
func (l *loader) section(name string, node *yaml.Node, path string) {
	source := Source{Kind: File, Name: name, Line: node.Line}
	if isNull(node) {
		return
	}
	if node.Kind != yaml.MappingNode {
		l.problem(source, path, fmt.Errorf("must be a mapping of keys, not %s", kindOf(node)))
		return
	}
	lines := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		source.Line = key.Line
		at := join(path, key.Value)
		if err := checkKey(key, lines); err != nil {
			l.problem(source, at, err)
			continue
		}
		if l.schema.sections[at] {
			l.section(name, value, at)
			continue
		}
		leaf, ok := l.schema.byPath[at]
		if !ok {
			l.unknown(source, at)
			continue
		}
		if isNull(value) {
			continue
		}
		d := decoder{source: source}
		if v := d.value(value, leaf.typ, at); len(d.problems) == 0 {
			l.set(leaf, v, source)
		}
		l.problems = append(l.problems, d.problems...)
	}
}

// environment reads the variables that belong to keys and returns the names of
// those that begin with the prefix and belong to none.
func (l *loader) environment(prefix string, variables []string) (unused []string) {
	for _, variable := range slices.Sorted(slices.Values(variables)) {
		name, text, _ := strings.Cut(variable, "=")
		leaf, ok := l.schema.byEnv[name]
		switch {
		case ok && text != "":
			l.text(leaf, text, Source{Kind: Environment, Name: name})
		case !ok && prefix != "" && strings.HasPrefix(name, prefix+"_"):
			unused = append(unused, name)
		}
	}
	return unused
}

func (l *loader) flags(flags map[string]string) {
	for _, path := range slices.Sorted(maps.Keys(flags)) {
		source := Source{Kind: Flag, Name: path}
		if leaf, ok := l.schema.byPath[path]; ok {
			l.text(leaf, flags[path], source)
		} else {
			l.unknown(source, path)
		}
	}
}

// text sets a leaf from one text, as the environment and flags give it.
func (l *loader) text(at leaf, text string, source Source) {
	node, err := nodeFromText(at.typ, text)
	if err != nil {
		l.problem(source, at.path, err)
		return
	}
	d := decoder{source: source}
	if v := d.value(node, at.typ, at.path); len(d.problems) == 0 {
		l.set(at, v, source)
	}
	l.problems = append(l.problems, d.problems...)
}

// nodeFromText reads the short forms of the environment and of flags.
func nodeFromText(t reflect.Type, text string) (*yaml.Node, error) {
	if isScalar(t) {
		return textNode(text), nil
	}
	if t.Kind() == reflect.Slice && isScalar(t.Elem()) && !strings.HasPrefix(strings.TrimSpace(text), "[") {
		list := &yaml.Node{Kind: yaml.SequenceNode}
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				list.Content = append(list.Content, textNode(part))
			}
		}
		return list, nil
	}
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		return nil, fmt.Errorf("not YAML: %w", err)
	}
	if len(document.Content) == 0 {
		return nil, errors.New("is empty")
	}
	return document.Content[0], nil
}

func textNode(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
}

// validator is what a Config does about its own values.
type validator interface{ Validate() error }

// validate calls the topmost Validate methods of a tree.
func validate(section reflect.Value, path string) []error {
	if v, ok := section.Addr().Interface().(validator); ok {
		return prefixed(path, v.Validate())
	}
	var errs []error
	for _, f := range fieldsOf(section.Type()) {
		if isSection(f.typ) {
			errs = append(errs, validate(section.FieldByIndex(f.index), join(path, f.name))...)
		}
	}
	return errs
}

// prefixed puts a path before an error, or before each of several joined ones.
func prefixed(path string, err error) []error {
	if err == nil {
		return nil
	}
	parts := []error{err}
	// Only what errors.Join itself returned is taken apart, not what it wraps.
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		parts = slices.Clone(joined.Unwrap())
	}
	if path == "" {
		return parts
	}
	for i, part := range parts {
		parts[i] = fmt.Errorf("%s: %w", path, part)
	}
	return parts
}
