package authtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"
)

// Provider is a provider of OpenID Connect that signs whatever it is asked to.
type Provider struct {
	URL string

	t    testing.TB
	mu   sync.Mutex
	key  *ecdsa.PrivateKey
	kid  string
	keys []oidctest.PublicKey
	down bool
}

// NewProvider starts a provider.
func NewProvider(t testing.TB) *Provider {
	t.Helper()
	p := &Provider{t: t}
	p.Rotate()
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	p.URL = server.URL
	return p
}

// ServeHTTP answers what a provider is asked.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	down, keys := p.down, p.keys
	p.mu.Unlock()
	if down {
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	s := &oidctest.Server{PublicKeys: keys, Algorithms: []string{"ES256"}}
	s.SetIssuer(p.URL)
	s.ServeHTTP(w, r)
}

// Down makes the provider fail, or work again.
func (p *Provider) Down(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

// Rotate signs by a new key from now on. The one before is forgotten.
func (p *Provider) Rotate() {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.key, p.kid = key, rand.Text()
	p.keys = []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: p.kid, Algorithm: "ES256"}}
}

// Audience is whom tokens are for.
const Audience = "armada"

// Token signs claims about a user, over those of a token that is good for an hour.
func (p *Provider) Token(user string, claims map[string]any) string {
	p.t.Helper()
	all := map[string]any{"iss": p.URL, "aud": Audience, "sub": user, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(all, claims)
	text, err := json.Marshal(all)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return oidctest.SignIDToken(p.key, p.kid, "ES256", string(text))
}

// Unsigned is a token with the algorithm none.
func (p *Provider) Unsigned(user string) string {
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	return part(`{"alg":"none"}`) + "." + part(fmt.Sprintf(`{"iss":%q,"aud":%q,"sub":%q,"exp":%d}`, p.URL, Audience, user, time.Now().Add(time.Hour).Unix())) + "."
}
