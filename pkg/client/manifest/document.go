package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"gopkg.in/yaml.v3"
	kubeyaml "sigs.k8s.io/yaml"

	"armada/internal/wire/restjson"
	"armada/pkg/nearest"
)

// A Problem is one thing that is wrong in a file.
type Problem struct {
	Line    int    // from 1; 0 when unknown
	Path    string // such as jobs[0].podSpec.containers[0].image; may be empty
	Message string
}

func (p Problem) String() string {
	text := p.Message
	if p.Path != "" {
		text = p.Path + ": " + text
	}
	if p.Line > 0 {
		text = "line " + strconv.Itoa(p.Line) + ": " + text
	}
	return text
}

// Error is everything that was found wrong in a file.
type Error struct {
	Problems []Problem // at least one
}

// Error has a line for each problem.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// document is a text in YAML or JSON, as JSON and as a tree that knows lines.
type document struct {
	json []byte
	root *yaml.Node
}

// parse reads a text that has one document.
func parse(data []byte) (*document, error) {
	if json.Valid(data) {
		// JSON allows tabs between its parts, where YAML does not.
		data = bytes.ReplaceAll(data, []byte{'\t'}, []byte{' '})
	}
	if !utf8.Valid(data) {
		return nil, &Error{notUTF8(data)}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var root, more yaml.Node
	err := decoder.Decode(&root)
	if errors.Is(err, io.EOF) {
		return nil, &Error{[]Problem{{Message: "there is nothing in it"}}}
	}
	if err != nil {
		return nil, fromYAML(err)
	}
	if err := decoder.Decode(&more); err == nil {
		return nil, &Error{[]Problem{{Line: more.Line, Message: "a second document begins here, only one is read"}}}
	} else if !errors.Is(err, io.EOF) {
		return nil, fromYAML(err)
	}
	if problems := notJSON(root.Content[0], ""); len(problems) > 0 {
		return nil, &Error{problems}
	}
	converted, err := kubeyaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, fromYAML(err)
	}
	return &document{json: converted, root: root.Content[0]}, nil
}

// yamlLine finds lines in the messages of the YAML libraries.
var yamlLine = regexp.MustCompile(`line (\d+): *([^\n]*)`)

// yamlTwice is how they say that a key is there already.
var yamlTwice = regexp.MustCompile(`^key (".*") already set in map$`)

// fromYAML takes the lines out of an error of a YAML library.
func fromYAML(err error) error {
	var problems []Problem
	for _, found := range yamlLine.FindAllStringSubmatch(err.Error(), -1) {
		line, _ := strconv.Atoi(found[1])
		message := found[2]
		if twice := yamlTwice.FindStringSubmatch(message); twice != nil {
			message = "the key " + twice[1] + " is given twice"
		}
		problems = append(problems, Problem{Line: line, Message: message})
	}
	if problems == nil {
		problems = []Problem{{Message: strings.TrimPrefix(err.Error(), "yaml: ")}}
	}
	return &Error{problems}
}

// notUTF8 are the lines of a text that are not valid UTF-8.
func notUTF8(data []byte) []Problem {
	var problems []Problem
	n := 0
	for line := range bytes.Lines(data) {
		if n++; !utf8.Valid(line) {
			problems = append(problems, Problem{Line: n, Message: "is not valid UTF-8"})
		}
	}
	return problems
}

// notJSON are the values that YAML has and JSON has not: NaN and the infinities.
func notJSON(node *yaml.Node, path string) []Problem {
	var problems []Problem
	switch node.Kind {
	case yaml.ScalarNode:
		var f float64
		if node.ShortTag() == "!!float" && node.Decode(&f) == nil && (math.IsNaN(f) || math.IsInf(f, 0)) {
			problems = append(problems, Problem{Line: node.Line, Path: path, Message: "is " + node.Value + ", must be a number"})
		}
	case yaml.SequenceNode:
		for i, element := range node.Content {
			problems = append(problems, notJSON(element, fmt.Sprintf("%s[%d]", path, i))...)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			problems = append(problems, notJSON(node.Content[i+1], join(path, node.Content[i].Value))...)
		}
	default:
	}
	return problems
}

// line is where a path leads to, or as far as it leads.
func (d *document) line(path string) int {
	line, _ := find(d.root, strings.TrimPrefix(path, "."))
	return line
}

// find follows a path below a node and returns the line where it ends, or of
// the last node on the way, and how much of it is left. Keys of maps may hold
// dots and brackets themselves, so every key that the path begins with is tried.
func find(node *yaml.Node, path string) (line, left int) {
	if node.Kind == yaml.AliasNode {
		return find(node.Alias, path)
	}
	line, left = node.Line, len(path)
	if path == "" {
		return line, 0
	}
	better := func(at *yaml.Node, value *yaml.Node, rest string) {
		l, n := find(value, strings.TrimPrefix(rest, "."))
		if l < at.Line || n == 0 && rest == "" {
			l = at.Line // what is asked for is the entry as a whole
		}
		if n < left {
			line, left = l, n
		}
	}
	switch node.Kind {
	case yaml.SequenceNode:
		for i, element := range node.Content {
			if rest, found := strings.CutPrefix(path, fmt.Sprintf("[%d]", i)); found {
				better(element, element, rest)
			}
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			for _, spelled := range []string{key.Value, "[" + key.Value + "]"} {
				if len(path) < len(spelled) || !strings.EqualFold(path[:len(spelled)], spelled) {
					continue
				}
				if rest := path[len(spelled):]; rest == "" || rest[0] == '.' || rest[0] == '[' {
					better(key, value, rest)
				}
			}
		}
	default:
	}
	return line, left
}

// problem is one at a path.
func (d *document) problem(path, message string) Problem {
	return Problem{Line: d.line(path), Path: path, Message: message}
}

// message reads JSON that stands at a path of the document into a message, and
// returns what is wrong with it.
func (d *document) message(raw []byte, at string, into proto.Message) []Problem {
	warnings, err := restjson.Decode(raw, into)
	var problems []Problem
	for _, w := range warnings {
		path := join(at, w.Path)
		if w.Repeated {
			problems = append(problems, d.problem(path, "given twice"))
			continue
		}
		above, name := cutLast(w.Path)
		problems = append(problems, d.problem(path, unknown(name, restjson.Members(into, above))))
	}
	var wrong *restjson.FieldError
	if errors.As(err, &wrong) {
		return append(problems, d.problem(join(at, wrong.Path), wrong.Err.Error()))
	}
	if err != nil {
		return append(problems, d.problem(at, err.Error()))
	}
	return problems
}

// unknown words the problem of a key that is not known.
func unknown(name string, known []string) string {
	if near := nearest.Path(name, known); near != "" {
		return "unknown field, the nearest known one is " + near
	}
	return "unknown field"
}

// join appends a path to the one above it.
func join(above, below string) string {
	if above == "" || below == "" || below[0] == '[' {
		return above + below
	}
	return above + "." + below
}

// cutLast takes the last name off a path.
func cutLast(path string) (above, name string) {
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}
