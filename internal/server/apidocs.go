package server

import (
	"bytes"
	"embed"
	"io/fs"
	"net/http"
	"strings"

	"armada/pkg/api"
	"armada/third_party/swaggerui"
)

// apiDocs serves the description of the REST interface, and a page to read and
// try it. Everything comes from the binary.
type apiDocs struct {
	below map[string][]byte // the description, by the prefix of what it describes
	files http.Handler
}

// docsPath is where the page is, and below it what the page needs.
const docsPath = "/api/docs"

//go:embed docs
var docsFiles embed.FS

func newAPIDocs() *apiDocs {
	own, err := fs.Sub(docsFiles, "docs")
	if err != nil {
		panic(err) // the folder is in the binary
	}
	page := http.FileServerFS(own)
	assets := http.FileServerFS(swaggerui.Files)
	return &apiDocs{
		below: map[string][]byte{
			"":     api.Swagger,
			"/api": bytes.Replace(api.Swagger, []byte(`"basePath": "/"`), []byte(`"basePath": "/api"`), 1),
		},
		files: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := fs.Stat(own, strings.TrimPrefix(r.URL.Path, "/")); err == nil || r.URL.Path == "/" {
				page.ServeHTTP(w, r)
				return
			}
			assets.ServeHTTP(w, r)
		}),
	}
}

// serve serves what is at the path; false when that is nothing of the
// description.
func (d *apiDocs) serve(w http.ResponseWriter, r *http.Request) bool {
	switch path := r.URL.Path; {
	case path == "/swagger.json", path == "/api/swagger.json":
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(d.below[strings.TrimSuffix(path, "/swagger.json")]) // the caller may be gone
	case path == docsPath+"/":
		w.Header().Set("Location", "../docs") // relative: something before the server may have its own prefix
		w.WriteHeader(http.StatusMovedPermanently)
	case path == docsPath, strings.HasPrefix(path, docsPath+"/"):
		head := w.Header()
		head.Set("Cache-Control", "no-cache")
		head.Set("X-Content-Type-Options", "nosniff")
		// The page may run its own scripts and call its own server, and be shown in no other.
		head.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'")
		http.StripPrefix(docsPath, d.files).ServeHTTP(w, rooted(r))
	default:
		return false
	}
	return true
}

// rooted returns the request with a slash behind a path that is only the prefix.
func rooted(r *http.Request) *http.Request {
	if r.URL.Path != docsPath {
		return r
	}
	with := r.Clone(r.Context())
	with.URL.Path, with.URL.RawPath = docsPath+"/", ""
	return with
}
