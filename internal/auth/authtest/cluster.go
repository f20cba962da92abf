package authtest

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Cluster is the API of a Kubernetes cluster, as far as it reviews tokens.
type Cluster struct {
	URL    string
	CAFile string
	// Reviews counts what the cluster was asked.
	Reviews chan string

	t testing.TB
}

// NewCluster starts a cluster.
func NewCluster(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{t: t, Reviews: make(chan string, 1000)}
	server := httptest.NewTLSServer(c)
	t.Cleanup(server.Close)
	c.URL = server.URL
	c.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(c.CAFile, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

// Token is one of a service account. It is no real one: the cluster knows its own
// tokens by what stands where the signature would be.
func (c *Cluster) Token(user string, expiry time.Time) string {
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	return part(`{"alg":"RS256","kid":"key-1"}`) + "." + part(fmt.Sprintf(`{"sub":%q,"exp":%d}`, user, expiry.Unix())) + "." + part("signed by "+c.URL)
}

// ServeHTTP reviews a token.
func (c *Cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var review map[string]any
	if r.Method != http.MethodPost || r.URL.Path != "/apis/authentication.k8s.io/v1/tokenreviews" || json.NewDecoder(r.Body).Decode(&review) != nil {
		http.NotFound(w, r)
		return
	}
	spec, _ := review["spec"].(map[string]any)
	token, _ := spec["token"].(string)
	c.Reviews <- token
	status := map[string]any{"authenticated": false, "error": "unknown token"}
	if parts := strings.Split(token, "."); len(parts) == 3 {
		signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
		text, _ := base64.RawURLEncoding.DecodeString(parts[1])
		var claims struct {
			Subject string `json:"sub"`
		}
		if json.Unmarshal(text, &claims) == nil && string(signature) == "signed by "+c.URL {
			status = map[string]any{"authenticated": true, "user": map[string]any{"username": claims.Subject, "groups": []string{"system:serviceaccounts"}}}
		}
	}
	review["status"] = status
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(review)
}
