package client

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"armada/pkg/nearest"
)

// File is what a config file says. It has one of two forms: several contexts by
// name, one of which is current,
//
//	currentContext: home
//	contexts:
//	  home:
//	    armadaUrl: localhost:50051
//
// or, older, the keys of a single one at the top.
type File struct {
	Path string
	// CurrentContext is the context that counts unless the caller names another.
	CurrentContext string
	// Contexts are the configs by name; a file of the flat form has none.
	Contexts map[string]Config
	// Flat is the config of a file of the flat form; nil in the other.
	Flat *Config
}

// Names are the names of the contexts, sorted.
func (f *File) Names() []string { return slices.Sorted(maps.Keys(f.Contexts)) }

// Config returns a context's config; the empty name stands for the current one.
func (f *File) Config(context string) (Config, error) {
	if f.Flat != nil {
		if context != "" {
			return Config{}, fmt.Errorf("%s has no contexts, so there is no context %q", f.Path, context)
		}
		return *f.Flat, nil
	}
	name := context
	if name == "" {
		name = f.CurrentContext
	}
	known := "it has " + strings.Join(f.Names(), ", ")
	if len(f.Contexts) == 0 {
		known = "it has none"
	}
	if name == "" {
		return Config{}, fmt.Errorf("%s does not say which context is current (currentContext), and none was asked for; %s", f.Path, known)
	}
	config, found := f.Contexts[name]
	if !found {
		return Config{}, fmt.Errorf("%s has no context %q; %s", f.Path, name, known)
	}
	return config, nil
}

// DefaultPath is $HOME/.armadactl.yaml.
func DefaultPath() (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the config file: %w", err)
	}
	return filepath.Join(home, ".armadactl.yaml"), nil
}

// Load reads the config of a context from a file. Without a path it reads
// [DefaultPath], and is content if there is no such file: the zero Config.
// Without a context it is the file's current one.
func Load(path, context string) (Config, error) { return LoadOver(path, "", context) }

// LoadOver is Load, with a file of defaults as [ReadFileOver] has it.
func LoadOver(path, defaults, context string) (Config, error) {
	named := path != ""
	if !named {
		var err error
		if path, err = DefaultPath(); err != nil {
			return Config{}, err
		}
	}
	file, err := ReadFileOver(path, defaults)
	if errors.Is(err, fs.ErrNotExist) && !named && context == "" {
		return Config{}, nil
	}
	if err != nil {
		return Config{}, err
	}
	return file.Config(context)
}

// ReadFile reads a config file of either form. Names of keys match without
// regard to case; an unknown key is an error that names its line and the
// nearest known one.
func ReadFile(path string) (*File, error) { return ReadFileOver(path, "") }

// ReadFileOver reads a config file, and another one with what holds where the first
// says nothing: key by key, of the same contexts and in the same form. One of them
// may be missing; an empty path is one that is.
func ReadFileOver(path, defaults string) (*File, error) {
	own, err := readNode(path)
	if err != nil {
		return nil, err
	}
	said := path
	var below *yaml.Node
	if defaults != "" {
		if below, err = readNode(defaults); err != nil {
			return nil, err
		}
	}
	switch {
	case own == nil && below == nil:
		return nil, fmt.Errorf("read the config file: %w", &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist})
	case own == nil:
		own, said = below, defaults
	case below != nil && hasContexts(own) != hasContexts(below):
		return nil, fmt.Errorf("one of %s and %s has contexts and the other has not; give both the same form", path, defaults)
	case below != nil:
		own = merged(own, below)
	}
	file, err := parseFile(own)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", said, err)
	}
	file.Path = path
	return file, nil
}

// readNode reads what a config file says, with its keys spelled as the tags are;
// nil when there is no file.
func readNode(path string) (*yaml.Node, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the config file: %w", err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	root := &yaml.Node{Kind: yaml.MappingNode}
	if document.Kind != 0 {
		root = document.Content[0]
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s: line %d: must have keys such as armadaUrl", path, root.Line)
	}
	form := reflect.TypeFor[Config]()
	if hasContexts(root) {
		form = reflect.TypeFor[contextsForm]()
	}
	if problems := spell(root, form, ""); len(problems) > 0 {
		return nil, fmt.Errorf("%s: %s", path, strings.Join(problems, "; "))
	}
	return root, nil
}

// merged is a mapping with what only the one below it has.
func merged(over, below *yaml.Node) *yaml.Node {
	if over.Kind != yaml.MappingNode || below.Kind != yaml.MappingNode {
		return over
	}
	all := *over
	all.Content = slices.Clone(over.Content)
	for i := 0; i < len(below.Content); i += 2 {
		key, value := below.Content[i], below.Content[i+1]
		at := 0
		for at < len(all.Content) && all.Content[at].Value != key.Value {
			at += 2
		}
		if at == len(all.Content) {
			all.Content = append(all.Content, key, value)
			continue
		}
		all.Content[at+1] = merged(all.Content[at+1], value)
	}
	return &all
}

// contextsForm is the newer form of a config file.
type contextsForm struct {
	CurrentContext string            `yaml:"currentContext"`
	Contexts       map[string]Config `yaml:"contexts"`
}

// hasContexts tells the newer form from the flat one.
func hasContexts(root *yaml.Node) bool {
	for i := 0; i < len(root.Content); i += 2 {
		if key := strings.ToLower(root.Content[i].Value); key == "contexts" || key == "currentcontext" {
			return true
		}
	}
	return false
}

func parseFile(root *yaml.Node) (*File, error) {
	if hasContexts(root) {
		var form contextsForm
		if err := root.Decode(&form); err != nil {
			return nil, err
		}
		return &File{CurrentContext: form.CurrentContext, Contexts: form.Contexts}, nil
	}
	var flat Config
	if err := root.Decode(&flat); err != nil {
		return nil, err
	}
	return &File{Flat: &flat}, nil
}

// spell gives the keys below a node the case that the type's tags have, and
// returns what is wrong with those that no tag has.
func spell(node *yaml.Node, t reflect.Type, path string) []string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if node.Kind == yaml.SequenceNode && t.Kind() == reflect.Slice {
		var problems []string
		for i, element := range node.Content {
			problems = append(problems, spell(element, t.Elem(), fmt.Sprintf("%s[%d]", path, i))...)
		}
		return problems
	}
	if node.Kind != yaml.MappingNode || t.Kind() != reflect.Struct && t.Kind() != reflect.Map {
		return nil // if it does not fit, decoding says so
	}
	var problems []string
	fields := fieldsOf(t)
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		at := strings.TrimPrefix(path+"."+key.Value, ".")
		if t.Kind() == reflect.Map {
			problems = append(problems, spell(value, t.Elem(), at)...)
			continue
		}
		name := key.Value
		for known := range fields {
			if strings.EqualFold(known, name) {
				name = known
			}
		}
		member, known := fields[name]
		if !known {
			near := nearest.Path(name, slices.Sorted(maps.Keys(fields)))
			problems = append(problems, fmt.Sprintf("line %d: %s: unknown key, the nearest known one is %s", key.Line, at, near))
			continue
		}
		key.Value = name
		problems = append(problems, spell(value, member, at)...)
	}
	return problems
}

// fieldsOf are the types of a struct's fields by their keys.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	if t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			if name := t.Field(i).Tag.Get("yaml"); name != "" && name != "-" {
				fields[name] = t.Field(i).Type
			}
		}
	}
	return fields
}
