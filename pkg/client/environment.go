package client

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Environment sets the keys of a config for which the environment has a variable
// that is not empty: ARMADA_ and the words of the key in capitals, such as
// ARMADA_FORCE_NO_TLS and ARMADA_BASIC_AUTH_PASSWORD. The address is ARMADA_URL, or
// ARMADAURL as older programs have it. Lists are separated by commas. Keys that hold
// maps or lists of more than words have none.
func (c *Config) Environment(getenv func(string) string) error {
	if url := getenv("ARMADAURL"); url != "" {
		c.ArmadaURL = url
	}
	_, err := setFrom(getenv, reflect.ValueOf(c).Elem(), "ARMADA")
	return err
}

// setFrom sets what is below a struct whose keys begin with the words of a prefix,
// and tells whether there was anything to set.
func setFrom(getenv func(string) string, into reflect.Value, prefix string) (found bool, err error) {
	for i := range into.NumField() {
		key := into.Type().Field(i).Tag.Get("yaml")
		if key == "" || key == "-" {
			continue
		}
		name := prefix + "_" + capitals(strings.TrimPrefix(key, "armada"))
		field := into.Field(i)
		set := false
		if field.Kind() == reflect.Pointer {
			section := reflect.New(field.Type().Elem())
			if !field.IsNil() {
				section.Elem().Set(field.Elem())
			}
			if set, err = setFrom(getenv, section.Elem(), name); set {
				field.Set(section)
			}
		} else if text := getenv(name); text != "" {
			if set, err = setText(field, text); err != nil {
				err = fmt.Errorf("%s: %w", name, err)
			}
		}
		if err != nil {
			return true, err
		}
		found = found || set
	}
	return found, nil
}

// setText sets a value from a text; false for values that no text stands for.
func setText(into reflect.Value, text string) (bool, error) {
	wrong := func(kind string) (bool, error) {
		return false, fmt.Errorf("is %q, must be %s", text, kind)
	}
	switch at := into.Addr().Interface().(type) {
	case *string:
		*at = text
	case *[]string:
		*at = strings.Split(text, ",")
	case *bool:
		value, err := strconv.ParseBool(text)
		if err != nil {
			return wrong("true or false")
		}
		*at = value
	case *time.Duration:
		value, err := time.ParseDuration(text)
		if err != nil {
			return wrong("a duration such as 30s")
		}
		*at = value
	case *int64:
		value, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return wrong("a whole number")
		}
		*at = value
	case *uint16:
		value, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return wrong("a port")
		}
		*at = uint16(value)
	default:
		return false, nil
	}
	return true, nil
}

// capitals are the words of a key as variables have them: forceNoTls becomes
// FORCE_NO_TLS.
func capitals(key string) string {
	var b strings.Builder
	for i, r := range key {
		if i > 0 && unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToUpper(r))
	}
	return b.String()
}
