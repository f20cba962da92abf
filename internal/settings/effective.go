package settings

import (
	"cmp"
	"encoding"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Effective says what is in force and where it came from. It reads the tree as
// it was loaded and is safe for concurrent use.
type Effective struct {
	// UnusedEnvironment are the names of variables that begin with the prefix
	// and belong to no key, sorted.
	UnusedEnvironment []string

	tree    reflect.Value
	schema  *schema
	prefix  string
	sources map[string]Source
}

// An Entry is one key with its value in force.
type Entry struct {
	// Path is the key: server.grpcAddr.
	Path string
	// Variable is the environment variable that sets it.
	Variable string
	// Type is the Go type, for a reference page.
	Type string
	// Value is written as YAML would be, on one line; secrets are masked.
	Value string
	// Source is where the value came from.
	Source Source
}

// Entries returns all keys in the order of the struct's fields.
func (e *Effective) Entries() ([]Entry, error) {
	entries := make([]Entry, 0, len(e.schema.leaves))
	for _, l := range e.schema.leaves {
		node, err := nodeOf(e.tree.FieldByIndex(l.index))
		if err != nil {
			return nil, fmt.Errorf("printing %s: %w", l.path, err)
		}
		node.Style |= yaml.FlowStyle
		text, err := yaml.Marshal(node)
		if err != nil {
			return nil, fmt.Errorf("printing %s: %w", l.path, err)
		}
		entries = append(entries, Entry{
			Path:     l.path,
			Variable: envName(e.prefix, l.path),
			Type:     l.typ.String(),
			Value:    strings.TrimSpace(string(text)),
			Source:   e.sources[l.path],
		})
	}
	return entries, nil
}

// WriteYAML writes the settings in force as a file that could be loaded again,
// with the source of each value as a comment beside it. Secrets are masked, so
// what is written does not work where there are any.
func (e *Effective) WriteYAML(w io.Writer) error {
	root := &yaml.Node{Kind: yaml.MappingNode}
	if err := e.section(root, e.tree, ""); err != nil {
		return err
	}
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(root); err != nil {
		return fmt.Errorf("writing the settings in force: %w", err)
	}
	return encoder.Close()
}

func (e *Effective) section(node *yaml.Node, section reflect.Value, path string) error {
	for _, f := range fieldsOf(section.Type()) {
		at := join(path, f.name)
		key := textNode(f.name)
		value := &yaml.Node{Kind: yaml.MappingNode}
		if isSection(f.typ) {
			if err := e.section(value, section.FieldByIndex(f.index), at); err != nil {
				return err
			}
		} else {
			var err error
			if value, err = nodeOf(section.FieldByIndex(f.index)); err != nil {
				return fmt.Errorf("printing %s: %w", at, err)
			}
			comment := "# " + e.sources[at].String()
			if value.Kind == yaml.ScalarNode || value.Style == yaml.FlowStyle {
				value.LineComment = comment
			} else {
				key.HeadComment = comment
			}
		}
		node.Content = append(node.Content, key, value)
	}
	return nil
}

// nodeOf returns a value as YAML that decodes to the same value.
func nodeOf(v reflect.Value) (*yaml.Node, error) {
	switch value := v.Interface().(type) {
	case time.Duration:
		return textNode(durationText(value)), nil
	case encoding.TextMarshaler:
		if v.Kind() == reflect.Pointer && v.IsNil() {
			return null(), nil
		}
		text, err := value.MarshalText()
		return textNode(string(text)), err
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return null(), nil
		}
		return nodeOf(v.Elem())
	case reflect.String:
		return textNode(v.String()), nil
	case reflect.Slice:
		list := &yaml.Node{Kind: yaml.SequenceNode}
		if isScalar(v.Type().Elem()) || v.Len() == 0 {
			list.Style = yaml.FlowStyle
		}
		for i := range v.Len() {
			element, err := nodeOf(v.Index(i))
			if err != nil {
				return nil, err
			}
			list.Content = append(list.Content, element)
		}
		return list, nil
	case reflect.Map:
		return mapNode(v)
	case reflect.Struct:
		mapping := &yaml.Node{Kind: yaml.MappingNode}
		for _, f := range fieldsOf(v.Type()) {
			value, err := nodeOf(v.FieldByIndex(f.index))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", f.name, err)
			}
			mapping.Content = append(mapping.Content, textNode(f.name), value)
		}
		return mapping, nil
	case reflect.Float32, reflect.Float64:
		return plainNode("!!float", strconv.FormatFloat(v.Float(), 'g', -1, v.Type().Bits())), nil
	case reflect.Bool:
		return plainNode("!!bool", strconv.FormatBool(v.Bool())), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return plainNode("!!int", strconv.FormatUint(v.Uint(), 10)), nil
	default:
		return plainNode("!!int", strconv.FormatInt(v.Int(), 10)), nil
	}
}

func mapNode(v reflect.Value) (*yaml.Node, error) {
	mapping := &yaml.Node{Kind: yaml.MappingNode}
	if v.Len() == 0 {
		mapping.Style = yaml.FlowStyle
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) })
	for _, key := range keys {
		value, err := nodeOf(v.MapIndex(key))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		mapping.Content = append(mapping.Content, textNode(key.String()), value)
	}
	return mapping, nil
}

func plainNode(tag, text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text}
}

func null() *yaml.Node { return plainNode("!!null", "null") }

// durationText is Go's text without the zero parts at its end: 1h0m0s is 1h.
func durationText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
