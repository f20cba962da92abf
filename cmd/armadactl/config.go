package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"armada/pkg/client"
)

// contexts reads the config file, which must have contexts.
func (c *cli) contexts() (*client.File, error) {
	path, _ := c.chosen()
	if path == "" {
		var err error
		if path, err = client.DefaultPath(); err != nil {
			return nil, err
		}
	}
	file, err := client.ReadFileOver(path, c.defaults)
	if errors.Is(err, fs.ErrNotExist) {
		err = &advisedError{err, "Without it the server is " + client.DefaultURL + "; docs/howto/armadactl.md shows a file that has contexts."}
	}
	if err != nil {
		return nil, err
	}
	if file.Flat != nil {
		return nil, &advisedError{fmt.Errorf("%s has no contexts", path), "docs/howto/armadactl.md shows a file that has some."}
	}
	return file, nil
}

func (c *cli) getContextsCommand() *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "get-contexts",
		Short: "List the contexts, the current one with a star",
		Args:  arguments(),
		RunE: func(*cobra.Command, []string) error {
			file, err := c.contexts()
			if err != nil {
				return err
			}
			to := machine{cli: c, form: form}
			t := table{columns: []string{"CURRENT", "NAME", "SERVER"}}
			for _, name := range file.Names() {
				mark := ""
				if name == file.CurrentContext {
					mark = "*"
				}
				config := file.Contexts[name]
				t.add(mark, name, config.Address())
				if !to.chosen() {
					continue
				}
				// Who the user is stays in the file: it has passwords in it.
				err := to.addValue(name, struct {
					Name    string `json:"name"`
					URL     string `json:"armadaUrl"`
					Current bool   `json:"current"`
				}{name, config.Address(), mark != ""})
				if err != nil {
					return err
				}
			}
			if to.chosen() {
				return nil
			}
			return t.write(c.out)
		},
	}
	outputFlag(cmd, &form, asTable...)
	return cmd
}

func (c *cli) currentContextCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "current-context",
		Short: "Show the current context",
		Args:  arguments(),
		RunE: func(*cobra.Command, []string) error {
			file, err := c.contexts()
			if err != nil {
				return err
			}
			if file.CurrentContext == "" {
				return &advisedError{fmt.Errorf("%s has no current context", file.Path), "Choose one: armadactl config use-context " + strings.Join(file.Names(), "|")}
			}
			c.printf("%s\n", file.CurrentContext)
			return nil
		},
	}
}

func (c *cli) useContextCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "use-context NAME",
		Short:             "Make a context the current one",
		Args:              arguments("NAME"),
		ValidArgsFunction: c.suggestContexts,
		RunE: func(_ *cobra.Command, args []string) error {
			file, err := c.contexts()
			if err != nil {
				return err
			}
			if _, err := file.Config(args[0]); err != nil {
				return err
			}
			if err := choose(file.Path, args[0]); err != nil {
				return fmt.Errorf("change %s: %w", file.Path, err)
			}
			c.printf("The current context is %s.\n", args[0])
			return nil
		},
	}
}

// choose writes the current context into a config file and leaves the rest of
// it as it is, comments included.
func choose(path, name string) error {
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) { // the contexts are those of the defaults
		return os.WriteFile(path, []byte("currentContext: "+strconv.Quote(name)+"\n"), 0o600)
	}
	if err != nil {
		return err
	}
	path = real
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	changed, err := withContext(data, name)
	if err != nil {
		return err
	}
	beside, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(beside.Name()) // fails when all went well: it has its new name then
	if _, err = beside.Write(changed); err == nil {
		err = beside.Chmod(info.Mode())
	}
	if closing := beside.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	return os.Rename(beside.Name(), path)
}

// withContext is the text of a config file with another current context.
func withContext(data []byte, name string) ([]byte, error) {
	quoted, err := yaml.Marshal(name)
	if err != nil {
		return nil, err
	}
	line := []byte("currentContext: " + strings.TrimSpace(string(quoted)))
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, err
	}
	root := document.Content[0]
	lines := bytes.Split(data, []byte("\n"))
	if root.Style&yaml.FlowStyle != 0 {
		return nil, fmt.Errorf("it is not written line by line; set currentContext in it by hand")
	}
	for i := 0; i < len(root.Content); i += 2 {
		if key := root.Content[i]; strings.EqualFold(key.Value, "currentContext") {
			if comment := root.Content[i+1].LineComment; comment != "" {
				line = append(line, " "+comment...)
			}
			lines[key.Line-1] = line
			return bytes.Join(lines, []byte("\n")), nil
		}
	}
	first := root.Line - 1
	return bytes.Join(append(lines[:first:first], append([][]byte{line}, lines[first:]...)...), []byte("\n")), nil
}
