package api

import _ "embed"

// Swagger is the description of the REST interface, as Swagger 2.0 JSON. It
// must not be written to.
//
//go:embed swagger.json
var Swagger []byte
