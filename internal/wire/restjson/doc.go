// Package restjson is the JSON of the REST interface: it turns request bodies
// into wire messages and wire messages into answers, as a marshaler of the
// gRPC gateway.
//
// It is not protojson, because the JSON that clients rely on is not protobuf's:
//
//   - Names are lowerCamelCase in answers. In requests a name is matched
//     without regard to case, in its JSON or its proto spelling; null is
//     accepted anywhere and means absent.
//   - Lists and maps at the top of an answer are there even when empty. Other
//     empty fields are left out.
//   - 64-bit integers are numbers. Enums are names in answers, names or numbers
//     in requests. Timestamps are RFC 3339. NaN and the infinities are strings.
//   - A oneof is flattened, with one exception: api.StreamingQueueMessage keeps
//     a member "Event" around the one that is set.
//   - A Kubernetes message is in Kubernetes' own JSON, both ways, so that the
//     spec of a manifest works as it is: "cpu": "120m", 1 or 0.5; a port by
//     number or by name. It goes through the Go types of Kubernetes, which
//     makes this package the one besides podspec and generated code that
//     imports k8s.io.
//   - What a request has and no message knows is not lost silently: it is
//     collected with its path, also inside Kubernetes messages. FieldValidation
//     turns it into Warning headers, or into a refusal when the caller asks for
//     fieldValidation=Strict, as a Kubernetes API server does.
//
// Every error about a value names its path, such as
// jobRequestItems[3].podSpec.containers[0].resources.limits[cpu].
//
// The package knows no rules about the values themselves: it never decides
// whether a request makes sense. Decode and Encode are the functions,
// Marshaler puts them into the gateway; decode.go and encode.go are the two
// walks over a message, kubernetes.go is the exception within them.
package restjson
