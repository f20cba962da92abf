package settings

import (
	"encoding"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strconv"
	"time"

	"gopkg.in/yaml.v3"

	"armada/pkg/nearest"
)

// A decoder reads the value of one leaf.
type decoder struct {
	source   Source
	problems []error
}

// at is the source of a node: the line of the node in a file, else where the
// text came from.
func (d *decoder) at(node *yaml.Node) Source {
	source := d.source
	if source.Kind == File {
		source.Line = node.Line
	}
	return source
}

func (d *decoder) problem(node *yaml.Node, path string, err error) {
	d.problems = append(d.problems, &KeyError{Source: d.at(node), Path: path, Err: err})
}

// value returns a new value of a type, read from a node. When something is
// wrong it adds a problem, and the value means nothing.
func (d *decoder) value(node *yaml.Node, t reflect.Type, path string) reflect.Value {
	v := reflect.New(t).Elem()
	if withDefaults, ok := v.Addr().Interface().(interface{ SetDefaults() }); ok {
		withDefaults.SetDefaults()
	}
	d.into(node, v, path)
	return v
}

func (d *decoder) into(node *yaml.Node, v reflect.Value, path string) {
	want := wanted(v.Type())
	if node.Kind != want {
		d.problem(node, path, fmt.Errorf("must be %s, not %s", kindNames[want], kindOf(node)))
		return
	}
	switch {
	case isScalar(v.Type()):
		if isNull(node) {
			d.problem(node, path, errors.New("has no value"))
		} else if err := setScalar(v, node.Value); err != nil {
			d.problem(node, path, err)
		}
	case v.Kind() == reflect.Pointer:
		v.Set(d.value(node, v.Type().Elem(), path).Addr())
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 0, len(node.Content)))
		for i, element := range node.Content {
			v.Set(reflect.Append(v, d.value(element, v.Type().Elem(), fmt.Sprintf("%s[%d]", path, i))))
		}
	case v.Kind() == reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		d.pairs(node, path, func(key, value *yaml.Node, at string) {
			element := d.value(value, v.Type().Elem(), at)
			v.SetMapIndex(reflect.ValueOf(key.Value).Convert(v.Type().Key()), element)
		})
	default:
		d.fields(node, v, path)
	}
}

// fields reads a struct that is an element of a list or map.
func (d *decoder) fields(node *yaml.Node, v reflect.Value, path string) {
	known := fieldsOf(v.Type())
	var names []string
	for _, f := range known {
		names = append(names, f.name)
	}
	slices.Sort(names)
	d.pairs(node, path, func(key, value *yaml.Node, at string) {
		i := slices.IndexFunc(known, func(f field) bool { return f.name == key.Value })
		if i < 0 {
			d.problems = append(d.problems, &KeyError{
				Source: d.at(key), Path: at, Nearest: join(path, nearest.Path(key.Value, names)), Err: errUnknownKey,
			})
			return
		}
		if !isNull(value) {
			d.into(value, v.FieldByIndex(known[i].index), at)
		}
	})
}

// pairs calls a function for each key of a mapping that is a fit key.
func (d *decoder) pairs(node *yaml.Node, path string, each func(key, value *yaml.Node, at string)) {
	lines := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if err := checkKey(key, lines); err != nil {
			d.problem(key, join(path, key.Value), err)
			continue
		}
		each(key, value, join(path, key.Value))
	}
}

// checkKey refuses what is not a plain key, or was a key already; lines
// remembers where.
func checkKey(key *yaml.Node, lines map[string]int) error {
	if key.Kind != yaml.ScalarNode {
		return fmt.Errorf("a key must be a single value, not %s", kindOf(key))
	}
	if key.Tag == "!!merge" {
		return errors.New("merge keys are not supported")
	}
	if first, twice := lines[key.Value]; twice {
		return fmt.Errorf("given twice, first on line %d", first)
	}
	lines[key.Value] = key.Line
	return nil
}

// wanted is the kind of node that holds values of a type.
func wanted(t reflect.Type) yaml.Kind {
	switch {
	case isScalar(t):
		return yaml.ScalarNode
	case t.Kind() == reflect.Slice:
		return yaml.SequenceNode
	case t.Kind() == reflect.Pointer:
		return wanted(t.Elem())
	default:
		return yaml.MappingNode
	}
}

var kindNames = map[yaml.Kind]string{
	yaml.ScalarNode: "a single value", yaml.SequenceNode: "a list", yaml.MappingNode: "a mapping of keys",
	yaml.AliasNode: "an alias (aliases are not supported)",
}

func kindOf(node *yaml.Node) string {
	if isNull(node) {
		return "empty"
	}
	return kindNames[node.Kind]
}

func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null" }

// setScalar reads one text into a value for whose type isScalar is true. Errors
// quote the text; it is never that of a secret.
func setScalar(v reflect.Value, text string) error {
	t := v.Type()
	switch {
	case t == secretType:
		secret, err := readSecret(text)
		v.Set(reflect.ValueOf(secret))
		return err
	case t == durationType:
		duration, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is not a duration such as 250ms, 5s or 1h30m", text)
		}
		v.SetInt(int64(duration))
		return nil
	case t == levelType:
		var level slog.Level
		if err := level.UnmarshalText([]byte(text)); err != nil {
			return fmt.Errorf("%q is no level such as debug, info, warn or error", text)
		}
		v.SetInt(int64(level))
		return nil
	case isText(t):
		unmarshaler, ok := v.Addr().Interface().(encoding.TextUnmarshaler)
		if !ok {
			return fmt.Errorf("type %s cannot be read from text", t)
		}
		return unmarshaler.UnmarshalText([]byte(text))
	}
	switch t.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		return setScalar(v.Elem(), text)
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		v.SetBool(b)
	case reflect.Float32, reflect.Float64:
		f, err := strconv.ParseFloat(text, t.Bits())
		if err != nil {
			return fmt.Errorf("%q is not a number of %d bits", text, t.Bits())
		}
		v.SetFloat(f)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		u, err := strconv.ParseUint(text, 10, t.Bits())
		if err != nil {
			return fmt.Errorf("%q is not a whole number from 0 of %d bits", text, t.Bits())
		}
		v.SetUint(u)
	default:
		i, err := strconv.ParseInt(text, 10, t.Bits())
		if err != nil {
			return fmt.Errorf("%q is not a whole number of %d bits", text, t.Bits())
		}
		v.SetInt(i)
	}
	return nil
}
