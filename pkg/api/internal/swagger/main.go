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
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
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
	describeKubernetes(definitions)
	wholeNumbers(document)
	wrapQueueStream(definitions)
	paths, ok := document["paths"].(object)
	if !ok {
		return fmt.Errorf("the document has no paths")
	}
	used := operations(paths)
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

// operations tells how bodies are checked, and answers the tags in use.
func operations(paths object) map[string]bool {
	used := map[string]bool{}
	for _, path := range paths {
		for _, operation := range path.(object) {
			operation := operation.(object)
			for _, tag := range operation["tags"].([]any) {
				used[tag.(string)] = true
			}
			parameters, _ := operation["parameters"].([]any)
			for _, parameter := range parameters {
				if parameter.(object)["in"] == "body" {
					operation["parameters"] = append(parameters, object{
						"name": "fieldValidation", "in": "query", "type": "string",
						"enum": []any{"Ignore", "Warn", "Strict"}, "default": "Warn",
						"description": "What becomes of unknown and repeated names in the body: nothing, a Warning header each, or a refusal.",
					})
					break
				}
			}
		}
	}
	return used
}

func keepTags(tags any, used map[string]bool) []any {
	kept := []any{}
	all, _ := tags.([]any)
	for _, tag := range all {
		if used[tag.(object)["name"].(string)] {
			kept = append(kept, tag)
		}
	}
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
