package server

import (
	"net/http"
	"strings"
)

// cors tells browsers which pages of other origins may call, and how. What a page
// may not do is not refused: its browser keeps the page from it, and what changes
// something is refused to pages of strangers elsewhere.
type cors struct {
	origins          map[string]bool
	methods, headers string
	credentials      bool
}

// exposed are the headers of answers that pages may read.
const exposed = "Grpc-Metadata-Armada-Version, Grpc-Metadata-Armada-Time, Retry-After, Warning"

// preflightSeconds is how long a browser remembers what it was told.
const preflightSeconds = "600"

func newCORS(config Config) cors {
	c := cors{
		origins: map[string]bool{}, credentials: config.CORSAllowCredentials,
		methods: strings.Join(config.CORSAllowedMethods, ", "), headers: strings.Join(config.CORSAllowedHeaders, ", "),
	}
	for _, origin := range config.CORSAllowedOrigins {
		c.origins[origin] = true
	}
	return c
}

// share adds to an answer what a browser must know, and answers its question
// what a page may do: then it returns true.
func (c cors) share(w http.ResponseWriter, r *http.Request) bool {
	w.Header().Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	asks := r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
	if c.origins[origin] {
		w.Header().Set("Access-Control-Allow-Origin", origin)
		if c.credentials {
			w.Header().Set("Access-Control-Allow-Credentials", "true")
		}
		if asks {
			w.Header().Set("Access-Control-Allow-Methods", c.methods)
			w.Header().Set("Access-Control-Allow-Headers", c.headers)
			w.Header().Set("Access-Control-Max-Age", preflightSeconds)
		} else {
			w.Header().Set("Access-Control-Expose-Headers", exposed)
		}
	}
	if asks {
		w.WriteHeader(http.StatusNoContent)
	}
	return asks
}
