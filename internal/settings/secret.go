package settings

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
)

// mask stands for a secret wherever one would be printed.
const mask = "***"

// secretFileScheme begins a secret's value that names a file with the secret.
const secretFileScheme = "file://"

// Secret is a text that never shows itself: every way of printing, logging or
// encoding it gives a mask, and the empty text when it is empty. The zero value
// is the empty secret.
type Secret struct{ text string }

// NewSecret makes a secret of a text, which is taken as it is: only [Load]
// follows file:// references.
func NewSecret(text string) Secret { return Secret{text: text} }

// Reveal returns the text. Call it where the secret is used, and keep what it
// returns out of errors and logs.
func (s Secret) Reveal() string { return s.text }

// IsEmpty tells whether there is no secret.
func (s Secret) IsEmpty() bool { return s.text == "" }

// String returns the mask, or "" for the empty secret.
func (s Secret) String() string {
	if s.IsEmpty() {
		return ""
	}
	return mask
}

// Format prints the mask for every verb, so that neither %#v nor %d on a struct
// that contains a secret gives it away.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// LogValue implements [slog.LogValuer] with the mask.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements [encoding.TextMarshaler] with the mask, for JSON and
// YAML alike.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// readSecret returns the secret that a value in a source stands for.
func readSecret(value string) (Secret, error) {
	path, isFile := strings.CutPrefix(value, secretFileScheme)
	if !isFile {
		return NewSecret(value), nil
	}
	if !strings.HasPrefix(path, "/") {
		return Secret{}, fmt.Errorf("a secret's file is named as file:///absolute/path")
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return Secret{}, fmt.Errorf("reading the secret's file: %w", err)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
	return NewSecret(text), nil
}
