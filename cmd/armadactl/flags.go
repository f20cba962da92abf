package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"armada/pkg/nearest"
)

// meant is what a value must be, by the type of its flag.
var meant = map[string]string{
	"bool":           "true or false",
	"count":          "a whole number",
	"duration":       "a time such as 500ms, 2s or 5m",
	"float64":        "a number",
	"int":            "a whole number",
	"int64":          "a whole number",
	"stringToString": "KEY=VALUE, several with commas between them",
}

// flagError says what is wrong with a flag, and what would be right.
func flagError(cmd *cobra.Command, err error) error {
	var value *pflag.InvalidValueError
	var unknown *pflag.NotExistError
	switch {
	case errors.As(err, &value):
		flag := value.GetFlag()
		if right, known := meant[flag.Value.Type()]; known {
			return &usageError{fmt.Sprintf("--%s is %q, must be %s", flag.Name, value.GetValue(), right)}
		}
		return &usageError{fmt.Sprintf("--%s is %q: %v", flag.Name, value.GetValue(), value.Unwrap())}
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		text := unknown.GetSpecifiedShortnames()
		if strings.ContainsAny(text[:1], "0123456789.") {
			return &usageError{fmt.Sprintf("-%s is taken for a flag: write -- before an argument that begins with a minus", text)}
		}
		return &usageError{err.Error()}
	case errors.As(err, &unknown):
		message := err.Error()
		if near := nearest.Names(unknown.GetSpecifiedName(), flagNames(cmd)); len(near) > 0 {
			message += ", did you mean --" + strings.Join(near, " or --") + "?"
		}
		return &usageError{message}
	default:
		return &usageError{err.Error()}
	}
}

// flagNames are the flags that a command shows in its help.
func flagNames(cmd *cobra.Command) []string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	return names
}
