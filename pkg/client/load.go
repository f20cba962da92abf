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
func Load(path, context string) (Config, error) {
	named := path != ""
	if !named {
		var err error
		if path, err = DefaultPath(); err != nil {
			return Config{}, err
		}
	}
	file, err := ReadFile(path)
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
func ReadFile(path string) (*File, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the config file: %w", err)
	}
	file, err := parseFile(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	file.Path = path
	return file, nil
}

// contextsForm is the newer form of a config file.
type contextsForm struct {
	CurrentContext string            `yaml:"currentContext"`
	Contexts       map[string]Config `yaml:"contexts"`
}

func parseFile(data []byte) (*File, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, err
	}
	if document.Kind == 0 {
		return &File{Flat: &Config{}}, nil
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: must have keys such as armadaUrl", root.Line)
	}
	for i := 0; i < len(root.Content); i += 2 {
		if key := strings.ToLower(root.Content[i].Value); key == "contexts" || key == "currentcontext" {
			var form contextsForm
			if err := decode(root, &form); err != nil {
				return nil, err
			}
			return &File{CurrentContext: form.CurrentContext, Contexts: form.Contexts}, nil
		}
	}
	var flat Config
	if err := decode(root, &flat); err != nil {
		return nil, err
	}
	return &File{Flat: &flat}, nil
}

func decode(node *yaml.Node, into any) error {
	if problems := spell(node, reflect.TypeOf(into).Elem(), ""); len(problems) > 0 {
		return errors.New(strings.Join(problems, "; "))
	}
	return node.Decode(into)
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
