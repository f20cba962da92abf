// Package swaggerui holds Swagger UI, which shows a description of a REST
// interface and lets its readers try it: swagger-ui-dist 5.35.0 of the npm
// registry, without its source maps, under the Apache License 2.0 (LICENSE, NOTICE,
// and swagger-ui-bundle.js.LICENSE.txt for what its bundle contains).
//
// To take a newer one, replace the files by those of the package and look at the
// page: `npm pack swagger-ui-dist`.
package swaggerui

import "embed"

// Files are the bundle, its style sheet and the licences.
//
//go:embed swagger-ui-bundle.js swagger-ui.css LICENSE NOTICE swagger-ui-bundle.js.LICENSE.txt
var Files embed.FS
