package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"gopkg.in/yaml.v3"

	"armada/internal/wire/restjson"
	"armada/pkg/api/lookout"
)

// The forms in which an answer is written, chosen by -o. JSON is an object on
// each line and YAML a document for each thing, both complete and in the words
// of the API (POST /v1/lookout/jobs and so on); name is one name or id on each
// line. They are for programs: fields are added to them, never renamed.
const (
	formTable = "table" // for people, with a heading
	formWide  = "wide"  // the table with more columns
	formText  = "text"  // for people, without a heading
	formName  = "name"
	formJSON  = "json"
	formYAML  = "yaml"
)

// Every command that answers has five forms: two for people, of which wide is the
// same as text where there are no columns, and three for programs.
var (
	asTable = []string{formTable, formWide, formName, formJSON, formYAML}
	asText  = []string{formText, formWide, formName, formJSON, formYAML}
)

// outputFlag gives a command -o. The first of the forms is the default; oneOf
// has to be asked whether the value is one of them.
func outputFlag(cmd *cobra.Command, into *string, forms ...string) {
	cmd.Flags().StringVarP(into, "output", "o", forms[0], "form: "+strings.Join(forms, ", "))
	suggest(cmd, "output", forms...)
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := oneOf("output", *into, forms...); err != nil {
			return err
		}
		if forms[0] == formText && *into == formWide {
			*into = formText
		}
		return run(cmd, args)
	}
}

// oneOf is nil when a flag has one of the values that it may have.
func oneOf(flag, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return &usageError{fmt.Sprintf("--%s is %q, must be %s", flag, value, strings.Join(allowed, " or "))}
}

// machine writes things one after the other in one of the forms for programs.
type machine struct {
	cli   *cli
	form  string
	begun bool
}

// chosen tells whether the form is one that a machine writes.
func (m *machine) chosen() bool {
	return m.form == formName || m.form == formJSON || m.form == formYAML
}

// add writes a message; head is keys and values that come first.
func (m *machine) add(name string, message proto.Message, head ...string) error {
	if m.form == formName {
		m.cli.printf("%s\n", name)
		return nil
	}
	encoded, err := encode(message)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return m.write(name, encoded, head)
}

// encode writes a message as JSON on one line, as the REST API has it. A job is
// written with what is zero as well, which the API leaves out: a script that asks
// for the state of a queued job, the first of the states, must find one.
func encode(message proto.Message) ([]byte, error) {
	job, isJob := message.(*lookout.Job)
	if !isJob {
		return restjson.Encode(message)
	}
	loose, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(job)
	if err != nil {
		return nil, err
	}
	var compact bytes.Buffer // protojson spaces its output at random
	err = json.Compact(&compact, loose)
	return compact.Bytes(), err
}

// addValue writes what is no message, by its json tags.
func (m *machine) addValue(name string, value any) error {
	if m.form == formName {
		m.cli.printf("%s\n", name)
		return nil
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return m.write(name, encoded, nil)
}

// done tells that something was done: people in a sentence, programs to what.
func (m *machine) done(kind, name, what, sentence string) error {
	if !m.chosen() {
		m.cli.printf("%s\n", sentence)
		return nil
	}
	return m.addValue(name, struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
		Done string `json:"done"`
	}{kind, name, what})
}

func (m *machine) write(name string, encoded []byte, head []string) error {
	if m.form == formYAML {
		if m.begun {
			m.cli.printf("---\n")
		}
		m.begun = true
		if err := m.yaml(encoded, head); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		return nil
	}
	m.cli.printf("{")
	for i := 0; i < len(head); i += 2 {
		m.cli.printf("%q:%q,", head[i], head[i+1])
	}
	m.cli.printf("%s\n", encoded[1:])
	return nil
}

// yaml writes a JSON object as YAML, without empty lists.
func (m *machine) yaml(encoded []byte, head []string) error {
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
	encoder := yaml.NewEncoder(m.cli.out)
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
