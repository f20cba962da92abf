package settings

import (
	"encoding"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"time"
	"unicode"
)

var (
	secretType          = reflect.TypeFor[Secret]()
	durationType        = reflect.TypeFor[time.Duration]()
	levelType           = reflect.TypeFor[slog.Level]()
	textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// A field is one key of a struct type: how it is called and how to reach it.
type field struct {
	name  string
	index []int
	typ   reflect.Type
}

// fieldsOf lists the keys of a struct type in the order of the fields. Embedded
// structs without a tag, and fields tagged ",inline", give their keys to the
// struct around them.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "-" {
			continue
		}
		inline := f.Anonymous && name == "" || strings.Contains(options, "inline")
		if inline && isSection(f.Type) {
			for _, below := range fieldsOf(f.Type) {
				below.index = append([]int{i}, below.index...)
				fields = append(fields, below)
			}
			continue
		}
		if name == "" {
			name = lowerCamel(f.Name)
		}
		fields = append(fields, field{name: name, index: []int{i}, typ: f.Type})
	}
	return fields
}

// isSection tells whether a type is a struct with keys of its own, rather than
// a single value such as a time or a secret.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != secretType && !isText(t)
}

// isText tells whether a value of the type is read from one text by the type
// itself.
func isText(t reflect.Type) bool { return reflect.PointerTo(t).Implements(textUnmarshalerType) }

// isScalar tells whether a value of the type is written as one text.
func isScalar(t reflect.Type) bool {
	if t == secretType || isText(t) {
		return true
	}
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return true
	case reflect.Pointer:
		return isScalar(t.Elem())
	}
	return false
}

// A leaf is a key that is not a section: what a source can set.
type leaf struct {
	path  string
	index []int
	typ   reflect.Type
}

// A schema is what is known about a tree of structs.
type schema struct {
	leaves []leaf // in the order of the fields
	byPath map[string]leaf
	byEnv  map[string]leaf
	// sections are the paths of nested structs.
	sections map[string]bool
}

// schemaOf examines the type of a tree. An error is a mistake of the program:
// a type that cannot be read, or two keys with one name.
func schemaOf(t reflect.Type, prefix string) (*schema, error) {
	if !isSection(t) {
		return nil, fmt.Errorf("settings: %s is not a struct of settings", t)
	}
	s := &schema{byPath: map[string]leaf{}, byEnv: map[string]leaf{}, sections: map[string]bool{}}
	if err := s.add(t, "", nil, prefix); err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	return s, nil
}

func (s *schema) add(t reflect.Type, path string, index []int, prefix string) error {
	seen := map[string]bool{}
	for _, f := range fieldsOf(t) {
		at := join(path, f.name)
		below := append(append([]int(nil), index...), f.index...)
		if seen[f.name] {
			return fmt.Errorf("%s: two fields have this key", at)
		}
		seen[f.name] = true
		if err := readable(f.typ, nil); err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		if isSection(f.typ) {
			s.sections[at] = true
			if err := s.add(f.typ, at, below, prefix); err != nil {
				return err
			}
			continue
		}
		l := leaf{path: at, index: below, typ: f.typ}
		env := envName(prefix, at)
		if other, taken := s.byEnv[env]; taken {
			return fmt.Errorf("%s and %s are both $%s", other.path, at, env)
		}
		s.leaves = append(s.leaves, l)
		s.byPath[at] = l
		s.byEnv[env] = l
	}
	return nil
}

// readable tells whether values of a type can be read from YAML. The types on
// the way down are remembered, because a type may not contain itself.
func readable(t reflect.Type, above []reflect.Type) error {
	if isScalar(t) {
		return nil
	}
	for _, a := range above {
		if a == t {
			return fmt.Errorf("type %s contains itself", t)
		}
	}
	above = append(above, t)
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		return readable(t.Elem(), above)
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			return fmt.Errorf("the keys of %s are not strings", t)
		}
		return readable(t.Elem(), above)
	case reflect.Struct:
		var errs []error
		for _, f := range fieldsOf(t) {
			if err := readable(f.typ, above); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", f.name, err))
			}
		}
		return errors.Join(errs...)
	}
	return fmt.Errorf("a value of type %s cannot be read from text", t)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// lowerCamel turns a Go name into a key: GRPCAddr is grpcAddr, MaxJobs is
// maxJobs, ID is id.
func lowerCamel(name string) string {
	words := splitWords(name)
	words[0] = strings.ToLower(words[0])
	return strings.Join(words, "")
}

// envName is the variable that sets the key at a path.
func envName(prefix, path string) string {
	words := []string{prefix}
	if prefix == "" {
		words = nil
	}
	for part := range strings.SplitSeq(path, ".") {
		words = append(words, splitWords(part)...)
	}
	return strings.ToUpper(strings.Join(words, "_"))
}

// splitWords cuts a camel-case name before every capital that follows a small
// letter or a digit, and before the last of a row of capitals that a small
// letter follows: HTTPAddr is HTTP, Addr.
func splitWords(name string) []string {
	runes := []rune(strings.ReplaceAll(name, "-", "_"))
	var words []string
	start := 0
	for i := 1; i < len(runes); i++ {
		afterSmall := unicode.IsUpper(runes[i]) && !unicode.IsUpper(runes[i-1])
		lastCapital := unicode.IsUpper(runes[i]) && i+1 < len(runes) && unicode.IsLower(runes[i+1])
		if afterSmall || lastCapital {
			words = append(words, string(runes[start:i]))
			start = i
		}
	}
	return append(words, string(runes[start:]))
}
