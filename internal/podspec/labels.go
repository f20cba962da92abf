package podspec

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/validate/content"

	"armada"
)

// ValidateLabel tells what is wrong with a label of a job, which its pod will
// have. The path is that of the labels; it is asked for only when needed.
func ValidateLabel(key, value string, path func() string) []armada.Violation {
	if plainName(key) && (value == "" || plainName(value)) {
		return nil
	}
	v := &validation{}
	if wrong := content.IsLabelKey(key); len(wrong) > 0 {
		v.add(entry(path(), key), "%q is not a label key: %s", clip(key), strings.Join(wrong, "; "))
	}
	if wrong := content.IsLabelValue(value); len(wrong) > 0 {
		v.add(entry(path(), key), "%q is not a label value: %s", clip(value), strings.Join(wrong, "; "))
	}
	return v.violations
}

// ValidateAnnotationKey does the same for the key of an annotation; its value
// may be any text.
func ValidateAnnotationKey(key string, path func() string) []armada.Violation {
	if plainName(key) {
		return nil
	}
	v := &validation{}
	// Kubernetes compares annotations in lower case.
	if wrong := content.IsLabelKey(strings.ToLower(key)); len(wrong) > 0 {
		v.add(entry(path(), key), "%q is not an annotation key: %s", clip(key), strings.Join(wrong, "; "))
	}
	return v.violations
}

func entry(path, key string) string { return fmt.Sprintf("%s[%s]", path, clip(key)) }

// plainName tells whether a text is surely good as a key and as a value, at a
// glance: every job of a request asks.
func plainName(text string) bool {
	if text == "" || len(text) > 63 || !letterOrDigit(text[0]) || !letterOrDigit(text[len(text)-1]) {
		return false
	}
	for i := range len(text) {
		if c := text[i]; !letterOrDigit(c) && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

func letterOrDigit(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
