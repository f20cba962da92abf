package restjson

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/resource"
	kubejson "sigs.k8s.io/json"

	"armada/internal/podspec"
)

// The two walks here follow a Go type of Kubernetes and JSON for it side by
// side. They run only when decoding met something odd.

var (
	unmarshaler  = reflect.TypeFor[json.Unmarshaler]()
	quantityType = reflect.TypeFor[resource.Quantity]()
)

// opaque types decode themselves, or have nothing below them.
func opaque(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(unmarshaler) ||
		t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8
}

// check reads the next value, which should fit the type, and answers an error
// with its path for the first thing in it that does not.
func (d *decoder) check(t reflect.Type) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	kind := t.Kind()
	if opaque(t) || kind != reflect.Struct && kind != reflect.Slice && kind != reflect.Map {
		return d.checkLeaf(t)
	}
	token, err := d.token()
	if err != nil || token == nil {
		return err
	}
	if kind == reflect.Slice {
		if token != json.Delim('[') {
			return d.want("a list", token)
		}
		for i := 0; d.json.More(); i++ {
			if err := d.checkAt(step{index: i}, t.Elem()); err != nil {
				return err
			}
		}
		_, err = d.token()
		return err
	}
	if token != json.Delim('{') {
		return d.want("an object", token)
	}
	for d.json.More() {
		token, err := d.token()
		if err != nil {
			return err
		}
		name := token.(string)
		switch member, known := goFields(t)[name]; {
		case kind == reflect.Map:
			err = d.checkAt(step{name: name, isKey: true}, t.Elem())
		case known:
			err = d.checkAt(step{name: name}, member)
		default:
			var skipped json.RawMessage
			err = d.syntax(d.json.Decode(&skipped))
		}
		if err != nil {
			return err
		}
	}
	_, err = d.token()
	return err
}

func (d *decoder) checkAt(s step, t reflect.Type) error {
	d.at = append(d.at, s)
	err := d.check(t)
	if err == nil {
		d.at = d.at[:len(d.at)-1]
	}
	return err
}

func (d *decoder) checkLeaf(t reflect.Type) error {
	var raw json.RawMessage
	if err := d.json.Decode(&raw); err != nil {
		return d.syntax(err)
	}
	if t == quantityType {
		var text string
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw)
		}
		if err := podspec.CheckQuantity(text); err != nil && string(raw) != "null" {
			return d.fail(err)
		}
	}
	err := kubejson.UnmarshalCaseSensitivePreserveInts(raw, reflect.New(t).Interface())
	if err == nil {
		return nil
	}
	forms := map[reflect.Kind]string{
		reflect.String: "a string", reflect.Bool: "true or false",
		reflect.Int32: "a whole number of 32 bits", reflect.Int64: "a whole number of 64 bits",
	}
	form, plain := forms[t.Kind()]
	if !plain || opaque(t) {
		return d.fail(err)
	}
	return d.sub(raw, func(inner *decoder) error {
		token, err := inner.token()
		if err != nil {
			return err
		}
		return inner.want(form, token)
	})
}

// rename gives members their names in the case that the type has them, and
// says whether there was anything to do. Of two members that are then equal
// the one that was exact stays.
func rename(raw []byte, t reflect.Type) (renamed []byte, changed bool) {
	in := json.NewDecoder(bytes.NewReader(raw))
	in.UseNumber()
	var tree any
	if in.Decode(&tree) != nil {
		return raw, false
	}
	tree, changed = renameTree(tree, t)
	if !changed {
		return raw, false
	}
	renamed, err := json.Marshal(tree)
	if err != nil {
		return raw, false
	}
	return renamed, true
}

func renameTree(tree any, t reflect.Type) (renamed any, changed bool) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if opaque(t) {
		return tree, false
	}
	switch value := tree.(type) {
	case []any:
		if t.Kind() != reflect.Slice {
			return tree, false
		}
		for i := range value {
			var did bool
			value[i], did = renameTree(value[i], t.Elem())
			changed = changed || did
		}
	case map[string]any:
		if t.Kind() == reflect.Struct {
			return renameMembers(value, t)
		}
		if t.Kind() != reflect.Map {
			return tree, false
		}
		for key := range value {
			var did bool
			value[key], did = renameTree(value[key], t.Elem())
			changed = changed || did
		}
	}
	return tree, changed
}

func renameMembers(members map[string]any, t reflect.Type) (renamed any, changed bool) {
	fields := goFields(t)
	out := make(map[string]any, len(members))
	for _, name := range slices.Sorted(maps.Keys(members)) {
		to := name
		if _, exact := fields[name]; !exact {
			for known := range fields {
				if strings.EqualFold(known, name) {
					to = known
				}
			}
		}
		if _, taken := members[to]; taken && to != name {
			continue
		}
		value := members[name]
		if field, known := fields[to]; known {
			var did bool
			value, did = renameTree(value, field)
			changed = changed || did
		}
		out[to] = value
		changed = changed || to != name
	}
	return out, changed
}

var fieldsOf sync.Map // reflect.Type -> map[string]reflect.Type

// goFields answers the types of a struct's members by their names in JSON. It
// is empty for other types.
func goFields(t reflect.Type) map[string]reflect.Type {
	if known, ok := fieldsOf.Load(t); ok {
		return known.(map[string]reflect.Type)
	}
	fields := map[string]reflect.Type{}
	if t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			field := t.Field(i)
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			switch {
			case name == "-" || !field.IsExported():
			case name == "" && field.Anonymous:
				inner := field.Type
				for inner.Kind() == reflect.Pointer {
					inner = inner.Elem()
				}
				maps.Copy(fields, goFields(inner))
			case name == "":
				fields[field.Name] = field.Type
			default:
				fields[name] = field.Type
			}
		}
	}
	fieldsOf.Store(t, fields)
	return fields
}
