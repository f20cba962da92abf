package restjson

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// scalar reads a value that is no message.
func (d *decoder) scalar(field protoreflect.FieldDescriptor, token json.Token) (protoreflect.Value, error) {
	switch field.Kind() {
	case protoreflect.BoolKind:
		if b, ok := token.(bool); ok {
			return protoreflect.ValueOfBool(b), nil
		}
		return protoreflect.Value{}, d.want("true or false", token)
	case protoreflect.StringKind:
		if s, ok := token.(string); ok {
			return protoreflect.ValueOfString(s), nil
		}
		return protoreflect.Value{}, d.want("a string", token)
	case protoreflect.BytesKind:
		if s, ok := token.(string); ok {
			b, err := decodeBase64(s)
			if err != nil {
				return protoreflect.Value{}, d.fail(err)
			}
			return protoreflect.ValueOfBytes(b), nil
		}
		return protoreflect.Value{}, d.want("a string in base64", token)
	case protoreflect.EnumKind:
		return d.enum(field.Enum(), token)
	default:
		text, ok := number(token)
		if !ok {
			return protoreflect.Value{}, d.want("a number", token)
		}
		value, err := parseNumber(field.Kind(), text)
		if err != nil {
			return protoreflect.Value{}, d.fail(err)
		}
		return value, nil
	}
}

// number is the text of a number, which may be in quotes: some clients write
// 64-bit integers so, and NaN cannot be written otherwise.
func number(token json.Token) (string, bool) {
	switch t := token.(type) {
	case json.Number:
		return t.String(), true
	case string:
		return t, true
	}
	return "", false
}

func parseNumber(kind protoreflect.Kind, text string) (protoreflect.Value, error) {
	switch kind {
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		f, err := parseFloat(text, kind)
		if kind == protoreflect.FloatKind {
			return protoreflect.ValueOfFloat32(float32(f)), err
		}
		return protoreflect.ValueOfFloat64(f), err
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		n, err := parseInteger(text, 32, strconv.ParseInt)
		return protoreflect.ValueOfInt32(int32(n)), err
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		n, err := parseInteger(text, 64, strconv.ParseInt)
		return protoreflect.ValueOfInt64(n), err
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		n, err := parseInteger(text, 32, strconv.ParseUint)
		return protoreflect.ValueOfUint32(uint32(n)), err
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		n, err := parseInteger(text, 64, strconv.ParseUint)
		return protoreflect.ValueOfUint64(n), err
	default:
		return protoreflect.Value{}, fmt.Errorf("no number is of kind %v", kind)
	}
}

func parseFloat(text string, kind protoreflect.Kind) (float64, error) {
	bits := 64
	if kind == protoreflect.FloatKind {
		bits = 32
	}
	switch text {
	case "NaN":
		return math.NaN(), nil
	case "Infinity":
		return math.Inf(1), nil
	case "-Infinity":
		return math.Inf(-1), nil
	}
	if !looksNumeric(text) {
		return 0, fmt.Errorf("%q is not a number", clip(text))
	}
	f, err := strconv.ParseFloat(text, bits)
	if err != nil {
		return 0, fmt.Errorf("%s is out of range", clip(text))
	}
	return f, nil
}

// looksNumeric keeps out what strconv would accept and JSON does not.
func looksNumeric(text string) bool {
	return json.Valid([]byte(text)) && (text[0] == '-' || text[0] >= '0' && text[0] <= '9')
}

// parseInteger accepts 12, 12.0 and 1.2e1.
func parseInteger[T int64 | uint64](text string, bits int, parse func(string, int, int) (T, error)) (T, error) {
	n, err := parse(text, 10, bits)
	if err == nil {
		return n, nil
	}
	if !looksNumeric(text) {
		return 0, fmt.Errorf("%q is not a whole number", clip(text))
	}
	f, ferr := strconv.ParseFloat(text, 64)
	if ferr == nil && f != math.Trunc(f) {
		return 0, fmt.Errorf("%s is not a whole number", clip(text))
	}
	// Beyond 2^53 a float no longer says which integer was meant.
	if ferr != nil || math.Abs(f) > 1<<53 {
		return 0, fmt.Errorf("%s is out of range", clip(text))
	}
	n, err = parse(strconv.FormatFloat(f, 'f', 0, 64), 10, bits)
	if err != nil {
		return 0, fmt.Errorf("%s is out of range", clip(text))
	}
	return n, nil
}

// decodeBase64 accepts both alphabets, padded or not.
func decodeBase64(s string) ([]byte, error) {
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(s, "-_") {
		encoding = base64.RawURLEncoding
	}
	b, err := encoding.DecodeString(strings.TrimRight(s, "="))
	if err != nil {
		return nil, errors.New("must be a string in base64")
	}
	return b, nil
}

// enum reads a name, with or without the prefix that all names of the enum
// share with its type, without regard to case; or a number.
func (d *decoder) enum(e protoreflect.EnumDescriptor, token json.Token) (protoreflect.Value, error) {
	switch t := token.(type) {
	case json.Number:
		n, err := parseInteger(t.String(), 32, strconv.ParseInt)
		if err != nil {
			return protoreflect.Value{}, d.fail(err)
		}
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(n)), nil
	case string:
		var names []string
		for i := range e.Values().Len() {
			v := e.Values().Get(i)
			name := enumName(e, v)
			if strings.EqualFold(t, string(v.Name())) || strings.EqualFold(t, name) {
				return protoreflect.ValueOfEnum(v.Number()), nil
			}
			if name != "Unspecified" {
				names = append(names, name)
			}
		}
		return protoreflect.Value{}, d.fail(fmt.Errorf("must be one of %s, not %q", strings.Join(names, ", "), clip(t)))
	}
	return protoreflect.Value{}, d.want("a name or a number", token)
}

// enumName is how a value of an enum is written: Fail for RETRY_ACTION_FAIL of
// RetryAction, and its name where that does not begin with the enum's.
func enumName(e protoreflect.EnumDescriptor, v protoreflect.EnumValueDescriptor) string {
	rest := string(v.Name())
	for i, r := range string(e.Name()) {
		if i > 0 && unicode.IsUpper(r) {
			if rest == "" || rest[0] != '_' {
				return string(v.Name())
			}
			rest = rest[1:]
		}
		if rest == "" || rune(rest[0]) != unicode.ToUpper(r) {
			return string(v.Name())
		}
		rest = rest[1:]
	}
	if len(rest) < 2 || rest[0] != '_' {
		return string(v.Name())
	}
	return rest[1:2] + strings.ToLower(rest[2:])
}

// mapKey reads the key of a map, which in JSON is always a string.
func (d *decoder) mapKey(field protoreflect.FieldDescriptor, text string) (protoreflect.MapKey, error) {
	switch field.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(text).MapKey(), nil
	case protoreflect.BoolKind:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return protoreflect.MapKey{}, d.fail(errors.New("the key must be true or false"))
		}
		return protoreflect.ValueOfBool(b).MapKey(), nil
	default:
		value, err := parseNumber(field.Kind(), text)
		if err != nil {
			return protoreflect.MapKey{}, d.fail(fmt.Errorf("the key: %w", err))
		}
		return value.MapKey(), nil
	}
}
