// Package settings turns one YAML file, the environment and flags into a tree
// of Go structs, and can say where every value came from.
//
// A key is a path such as server.grpcAddr: the names of nested struct fields,
// joined by dots. A field is named by its yaml tag, and without one by its Go
// name in lower camel case (GRPCAddr is grpcAddr). The tree a program passes
// to [Load] holds the defaults, so every key has one. A later source wins:
//
//	default < file < environment < flag
//
// The environment variable of a key is the prefix and the words of its path in
// capitals: ARMADA_SERVER_GRPC_ADDR sets server.grpcAddr. Flags are a map from
// path to text, whatever the command line looked like.
//
// Reading is strict where a person wrote for us: an unknown key in the file or
// among the flags is an error with its line and the nearest known key, as are a
// key given twice and a value of the wrong kind, and all of them are reported at
// once. It is lenient with the environment, which is not ours alone (Kubernetes
// puts ARMADA_SERVER_SERVICE_HOST there for a service called armada-server):
// what no key claims is listed by [Effective.UnusedEnvironment], never refused.
//
// Durations are written as Go writes them (250ms, 1h30m). A list or a map that
// is given replaces the default as a whole, for otherwise nothing could be
// taken out of a default. In the environment and in flags, a list of single
// values may be written with commas (a,b,c), and everything else that is not a
// single value in YAML's flow style ({a: 1}). A key with an empty value keeps
// its default. A pointer to a struct is one key, set as a whole. Anchors, aliases and merge keys are refused: what a key is set to
// stands on the line that the program names.
//
// A secret has the type [Secret]. Its value may be the text itself or
// file:///absolute/path, whose content is taken, without the newline at its
// end. It is masked wherever it is printed.
//
// A package that has settings owns its Config struct, with the defaults beside
// the fields and a method Validate() error. Load calls Validate of the topmost
// structs that have one; a struct with a Validate answers for what is below it.
// An element of a list or map may have a method SetDefaults on its pointer,
// called before the element is read.
//
// This package reads the files it is told to read and nothing else: not the
// process environment, no flags, no working folder. It knows no key of Armada:
// internal/app composes the tree.
package settings
