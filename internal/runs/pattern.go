package runs

import (
	"fmt"
	"regexp"
)

// Pattern is a regular expression (RE2) of a config, read when the config is. The
// zero value is none.
type Pattern struct{ *regexp.Regexp }

// UnmarshalText reads a pattern.
func (p *Pattern) UnmarshalText(text []byte) error {
	compiled, err := regexp.Compile(string(text))
	if err != nil {
		return fmt.Errorf("is no regular expression: %w", err)
	}
	p.Regexp = compiled
	return nil
}

// MarshalText writes it as it was read.
func (p Pattern) MarshalText() ([]byte, error) {
	if p.Regexp == nil {
		return nil, nil
	}
	return []byte(p.String()), nil
}
