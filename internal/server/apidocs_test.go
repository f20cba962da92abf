package server_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

func TestThePageAboutTheRESTInterfaceNeedsNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	answer, page := w.call(http.MethodGet, "/api/docs", "")
	if head := answer.Header; answer.StatusCode != http.StatusOK || !strings.HasPrefix(head.Get("Content-Type"), "text/html") || !strings.Contains(head.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Fatalf("%d %v", answer.StatusCode, head)
	}
	needed := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(page, -1)
	if len(needed) < 4 {
		t.Errorf("the page needs only %q", needed)
	}
	for _, asset := range needed {
		if strings.HasPrefix(asset[1], "data:") {
			continue
		}
		kind := map[string]string{"css": "text/css", "js": "text/javascript"}[asset[1][strings.LastIndex(asset[1], ".")+1:]]
		answer, body := w.call(http.MethodGet, "/api/"+asset[1], "")
		if answer.StatusCode != http.StatusOK || len(body) < 100 || kind == "" || !strings.HasPrefix(answer.Header.Get("Content-Type"), kind) {
			t.Errorf("%s: %d, %d bytes of %s", asset[1], answer.StatusCode, len(body), answer.Header.Get("Content-Type"))
		}
	}
	for _, path := range []string{"/api/docs/", "/api/docs/index.html"} { // both lead to the page
		if answer, body := w.call(http.MethodGet, path, ""); answer.StatusCode != http.StatusOK || body != page || answer.Request.URL.Path != "/api/docs" {
			t.Errorf("%s: %d at %s", path, answer.StatusCode, answer.Request.URL)
		}
	}
	if answer, _ := w.call(http.MethodGet, "/api/docs/never.js", ""); answer.StatusCode != http.StatusNotFound {
		t.Errorf("a file that is not there: %d", answer.StatusCode)
	}
}

// Whoever reads the description calls what is below the place where it was read.
func TestTheDescriptionIsServedWithItsPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	for path, want := range map[string]string{"/swagger.json": "/", "/api/swagger.json": "/api"} {
		answer, body := w.call(http.MethodGet, path, "")
		var d struct{ Swagger, BasePath string }
		ok(t, json.Unmarshal([]byte(body), &d))
		if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "application/json" || d.Swagger != "2.0" || d.BasePath != want {
			t.Errorf("%s: %d %+v", path, answer.StatusCode, d)
		}
	}
}
