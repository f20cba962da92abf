package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func (c *cli) docsCommand() *cobra.Command {
	var print, man bool
	cmd := &cobra.Command{
		Use:   "docs [FOLDER]",
		Short: "Write the reference pages of armadactl, or its man pages",
		Long: `Write a page for each command into a folder, armadactl-docs unless another one is named: in Markdown, or
with --man as man pages. Pages of commands that are no more are removed.

  armadactl docs --man ~/.local/share/man/man1      # and then: man armadactl-submit`,
		Args: arguments("[FOLDER]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if print && (man || len(args) > 0) {
				return &usageError{"--print writes Markdown to the standard output; leave out the folder and --man"}
			}
			root := cmd.Root()
			plainPages(root)
			if print {
				return printPages(c.out, root)
			}
			folder := append(args, "armadactl-docs")[0]
			n, err := writePages(root, folder, man)
			if err != nil {
				return fmt.Errorf("write the pages: %w", err)
			}
			c.printf("%s in %s.\n", count(n, "page"), folder)
			return nil
		},
	}
	cmd.Flags().BoolVarP(&print, "print", "p", false, "write all pages to the standard output")
	cmd.Flags().BoolVar(&man, "man", false, "man pages instead of Markdown")
	return cmd
}

// plainPages prepares the texts of all commands for Markdown, in which what is
// indented by two characters would not stand by itself.
func plainPages(cmd *cobra.Command) {
	cmd.DisableAutoGenTag = true // it has the day in it
	var long strings.Builder
	for line := range strings.Lines(cmd.Long) {
		if strings.HasPrefix(line, "  ") {
			line = "  " + line
		}
		long.WriteString(line)
	}
	cmd.Long = long.String()
	for _, below := range cmd.Commands() {
		plainPages(below)
	}
}

func printPages(w io.Writer, cmd *cobra.Command) error {
	if err := doc.GenMarkdown(cmd, w); err != nil {
		return err
	}
	for _, below := range cmd.Commands() {
		if below.IsAvailableCommand() && !below.IsAdditionalHelpTopicCommand() {
			if err := printPages(w, below); err != nil {
				return err
			}
		}
	}
	return nil
}

// writePages writes the pages of a command and of all below it into a folder, in
// place of those that are there, and returns how many there are.
func writePages(root *cobra.Command, folder string, man bool) (int, error) {
	pages := filepath.Join(folder, root.Name()+"*.md")
	if man {
		pages = filepath.Join(folder, root.Name()+"*.1")
	}
	old, err := filepath.Glob(pages)
	if err != nil {
		return 0, err
	}
	for _, page := range old {
		err = errors.Join(err, os.Remove(page))
	}
	if err == nil {
		err = os.MkdirAll(folder, 0o755)
	}
	if err == nil && man {
		err = doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "Armada " + version, Manual: "Armada"}, folder)
	} else if err == nil {
		err = doc.GenMarkdownTree(root, folder)
	}
	if err != nil {
		return 0, err
	}
	written, err := filepath.Glob(pages)
	return len(written), err
}
