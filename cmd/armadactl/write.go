package main

import (
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"gopkg.in/yaml.v3"

	"armada/internal/wire/restjson"
)

// read reads a file; - is the standard input.
func (c *cli) read(file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(c.in)
	}
	return os.ReadFile(file)
}

// table is columns of text, each as wide as its widest entry.
type table struct {
	columns []string
	rows    [][]string
}

func (t *table) add(row ...string) { t.rows = append(t.rows, row) }

func (t *table) write(w io.Writer) error {
	widths := make([]int, len(t.columns))
	rows := append([][]string{t.columns}, t.rows...)
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeMessage writes a message as YAML, without empty lists, or as JSON on one
// line; head is keys and values that come first.
func (c *cli) writeMessage(form string, m proto.Message, head ...string) error {
	encoded, err := restjson.Encode(m)
	if err != nil {
		return err
	}
	if form == "json" {
		c.printf("{")
		for i := 0; i < len(head); i += 2 {
			c.printf("%q:%q,", head[i], head[i+1])
		}
		c.printf("%s\n", encoded[1:])
		return nil
	}
	var document yaml.Node
	if err := yaml.Unmarshal(encoded, &document); err != nil {
		return err
	}
	body := document.Content[0]
	var content []*yaml.Node
	for _, text := range head {
		content = append(content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text})
	}
	for i := 0; i < len(body.Content); i += 2 {
		if key, value := body.Content[i], body.Content[i+1]; value.Kind == yaml.ScalarNode || len(value.Content) > 0 {
			content = append(content, key, value)
		}
	}
	body.Content = content
	plain(body)
	encoder := yaml.NewEncoder(c.out)
	encoder.SetIndent(2)
	if err := encoder.Encode(body); err != nil {
		return err
	}
	return encoder.Close()
}

// plain takes the style of JSON off a tree.
func plain(node *yaml.Node) {
	node.Style = 0
	for _, child := range node.Content {
		plain(child)
	}
}
