// Command swagger corrects what protoc-gen-openapiv2 wrote to what the REST
// interface really speaks: it reads a Swagger 2.0 document from standard input
// and writes the corrected one to standard output.
//
// The generator describes protobuf's JSON. Ours differs (internal/wire/restjson
// says how), and most of all for Kubernetes' messages: their schemas are made
// anew from the Go types, whose tags are what their JSON is. It is run by
// generate.sh and imports no generated code.
package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"
)

// object is any JSON object; all of the document is passed on as it came,
// except for what is named here.
type object = map[string]any

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "swagger:", err)
		os.Exit(1) //nolint:forbidigo // this is a main function
	}
}

func run(in io.Reader, out io.Writer) error {
	var document object
	if err := json.NewDecoder(in).Decode(&document); err != nil {
		return fmt.Errorf("reading the document: %w", err)
	}
	document["info"] = object{
		"title":   "Armada",
		"version": "1.0",
		"description": "A batch scheduler over many Kubernetes clusters. Every path is served under /api too. " +
			"Names in a body match without regard to case, null means absent; int64 values are numbers, times are RFC 3339.",
	}
	definitions, ok := document["definitions"].(object)
	if !ok {
		return fmt.Errorf("the document has no definitions")
	}
	document["basePath"] = "/"
	document["securityDefinitions"] = object{
		"basic": object{"type": "basic", "description": "User and password."},
		"token": object{"type": "apiKey", "in": "header", "name": "Authorization", "description": "Bearer and a token."},
	}
	document["security"] = []any{object{}, object{"basic": []any{}}, object{"token": []any{}}}
	describeKubernetes(definitions)
	describeErrors(definitions)
	shortEnums(definitions)
	wholeNumbers(document)
	wrapQueueStream(definitions)
	if err := showExamples(definitions); err != nil {
		return err
	}
	paths, ok := document["paths"].(object)
	if !ok {
		return fmt.Errorf("the document has no paths")
	}
	used := operations(paths, definitions)
	document["tags"] = keepTags(document["tags"], used)
	dropUnused(document, definitions)

	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(document); err != nil {
		return fmt.Errorf("writing the document: %w", err)
	}
	return nil
}

// shortEnums writes values of enums without the name of their enum before them:
// Fail for RETRY_ACTION_FAIL of RetryAction.
func shortEnums(definitions object) {
	for name, definition := range definitions {
		definition, _ := definition.(object)
		values, _ := definition["enum"].([]any)
		prefix := ""
		for _, r := range strings.TrimLeftFunc(name, unicode.IsLower) { // behind the package
			if unicode.IsUpper(r) && prefix != "" {
				prefix += "_"
			}
			prefix += string(unicode.ToUpper(r))
		}
		prefix += "_"
		for i, value := range values {
			long, _ := value.(string)
			rest, begins := strings.CutPrefix(long, prefix)
			if !begins || rest == "" {
				continue
			}
			short := rest[:1] + strings.ToLower(rest[1:])
			values[i] = short
			if definition["default"] == long {
				definition["default"] = short
			}
			if text, is := definition["description"].(string); is {
				definition["description"] = strings.ReplaceAll(text, "- "+long+":", "- "+short+":")
			}
		}
	}
}

// wholeNumbers undoes protobuf's habit of 64-bit integers in quotes.
func wholeNumbers(node any) {
	switch node := node.(type) {
	case []any:
		for _, element := range node {
			wholeNumbers(element)
		}
	case object:
		if format := node["format"]; node["type"] == "string" && (format == "int64" || format == "uint64") {
			node["type"] = "integer"
		}
		for _, member := range node {
			wholeNumbers(member)
		}
	}
}

// wrapQueueStream puts the member around the oneof that clients look for.
func wrapQueueStream(definitions object) {
	if message, ok := definitions["apiStreamingQueueMessage"].(object); ok {
		message["properties"] = object{"Event": object{"type": "object", "properties": message["properties"]}}
	}
}

// describeErrors says what the generator knows no words for.
func describeErrors(definitions object) {
	definitions["rpcStatus"] = object{
		"type": "object", "description": "Why a call was refused.",
		"properties": object{
			"code":    object{"type": "integer", "format": "int32", "description": "The gRPC code."},
			"message": object{"type": "string", "description": "What was wrong, for people."},
			"details": object{
				"type": "array", "items": object{"$ref": definitionPrefix + "protobufAny"},
				"description": "The same for programs: google.rpc.BadRequest has every field that was wrong, google.rpc.RetryInfo when to try again.",
			},
		},
	}
	definitions["protobufAny"] = object{
		"type": "object", "description": "A message of the type that @type names.", "additionalProperties": true,
		"properties": object{"@type": object{"type": "string", "description": "The type, behind type.googleapis.com/."}},
	}
}

// operations tells how bodies are checked and which answers are streams, leaves
// out bodies in which nothing can stand, and answers the tags in use.
func operations(paths, definitions object) map[string]bool {
	used := map[string]bool{}
	for _, path := range paths {
		for _, operation := range path.(object) {
			operation := operation.(object)
			for _, tag := range operation["tags"].([]any) {
				used[tag.(string)] = true
			}
			describeStream(operation)
			parameters, _ := operation["parameters"].([]any)
			for i, parameter := range parameters {
				parameter := parameter.(object)
				if parameter["in"] != "body" {
					continue
				}
				if isEmpty(parameter["schema"].(object), definitions) {
					operation["parameters"] = append(parameters[:i:i], parameters[i+1:]...)
					break
				}
				if parameter["description"] == nil {
					parameter["description"] = "What the path does not say."
				}
				operation["parameters"] = append(parameters, object{
					"name": "fieldValidation", "in": "query", "type": "string",
					"enum": []any{"Ignore", "Warn", "Strict"}, "default": "Warn",
					"description": "What becomes of unknown and repeated names in the body: nothing, a Warning header each, or a refusal.",
				})
				break
			}
		}
	}
	return used
}

// isEmpty tells whether a body has no members, because all are in the path.
func isEmpty(schema, definitions object) bool {
	ref, _ := schema["$ref"].(string)
	definition, _ := definitions[strings.TrimPrefix(ref, definitionPrefix)].(object)
	properties, _ := definition["properties"].(object)
	return definition != nil && len(properties) == 0
}

// describeStream says how an answer is sent that is a stream.
func describeStream(operation object) {
	answer := operation["responses"].(object)["200"].(object)
	if text, _ := answer["description"].(string); !strings.Contains(text, "streaming") {
		return
	}
	answer["description"] = "A stream of JSON objects, one a line. Each has a result, or in place of further ones an error."
	schema := answer["schema"].(object)
	schema["description"] = "A line of the stream."
	delete(schema, "title")
}

func keepTags(tags any, used map[string]bool) []any {
	kept := []any{}
	all, _ := tags.([]any)
	for _, tag := range all {
		if used[tag.(object)["name"].(string)] {
			kept = append(kept, tag)
		}
	}
	slices.SortStableFunc(kept, func(a, b any) int { return cmp.Compare(rank(a), rank(b)) })
	return kept
}

const definitionPrefix = "#/definitions/"

// dropUnused removes definitions that no path leads to.
func dropUnused(document, definitions object) {
	reached := map[string]bool{}
	var follow func(node any)
	follow = func(node any) {
		switch node := node.(type) {
		case []any:
			for _, element := range node {
				follow(element)
			}
		case object:
			if ref, ok := node["$ref"].(string); ok {
				name := strings.TrimPrefix(ref, definitionPrefix)
				if !reached[name] {
					reached[name] = true
					follow(definitions[name])
				}
			}
			for _, member := range node {
				follow(member)
			}
		}
	}
	follow(document["paths"])
	for name := range definitions {
		if !reached[name] {
			delete(definitions, name)
		}
	}
}
