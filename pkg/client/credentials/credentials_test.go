package credentials_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"armada/pkg/client/credentials"
)

// provider answers requests for tokens as a test says, and remembers them.
type provider struct {
	*httptest.Server

	mu    sync.Mutex
	asked []url.Values
	life  time.Duration
	deny  map[string]bool // by grant type
	spent map[string]bool // refresh tokens: each is taken once
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{life: time.Hour, deny: map[string]bool{}, spent: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": p.URL, "authorization_endpoint": p.URL + "/auth", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
		})
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		if name, secret, there := r.BasicAuth(); there {
			r.Form.Set("client_id", name)
			r.Form.Set("client_secret", secret)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.asked = append(p.asked, r.Form)
		w.Header().Set("Content-Type", "application/json")
		refresh := r.Form.Get("refresh_token")
		again := p.spent[refresh]
		if p.spent[refresh] = refresh != ""; again || p.deny[r.Form.Get("grant_type")] {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":"invalid_grant","error_description":"no longer"}`)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"access_token": jwt(p.life), "token_type": "Bearer", "expires_in": int(p.life.Seconds()), "refresh_token": fmt.Sprintf("refresh-%d", len(p.asked)),
		})
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

// jwt is a token that ends after a time.
func jwt(life time.Duration) string {
	claims := base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf(`{"exp":%d}`, time.Now().Add(life).Unix())))
	return "e30." + claims + ".x"
}

func (p *provider) requests() []url.Values {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]url.Values{}, p.asked...)
}

// source makes a source, and fails the test when there is none.
func source(t *testing.T, a credentials.Auth, o credentials.Options) credentials.Source {
	t.Helper()
	s, err := credentials.New(a, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestEachWayAsksTheProviderInItsOwnWords(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	pod := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(pod, []byte("the pod's token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := &credentials.OpenIDAuth{ProviderURL: p.URL, ClientID: "c", ClientSecret: "s", Username: "u", Password: "p", Scopes: []string{"x"}}
	for i, c := range []struct {
		auth credentials.Auth
		want url.Values
	}{
		{credentials.Auth{OpenIDPasswordAuth: o}, url.Values{"grant_type": {"password"}, "username": {"u"}, "password": {"p"}, "scope": {"openid x"}}},
		{credentials.Auth{OpenIDClientCredentialsAuth: o}, url.Values{"grant_type": {"client_credentials"}, "scope": {"x"}}},
		{credentials.Auth{OpenIDKubernetesAuth: o}, url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {"the pod's token"},
			"subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"}, "scope": {"x"},
		}},
	} {
		s := source(t, c.auth, credentials.Options{Getenv: func(name string) string {
			return map[string]string{"K8S_SERVICEACCOUNT_TOKEN": pod}[name]
		}})
		for range 3 { // the second and third time the same token
			header, err := s.Authorization(t.Context())
			if err != nil || !strings.HasPrefix(header, "Bearer e30.") {
				t.Fatalf("%d: %q, %v", i, header, err)
			}
		}
		all := p.requests()
		if len(all) != i+1 {
			t.Fatalf("%d: the provider was asked %d times", i, len(all))
		}
		c.want.Set("client_id", "c")
		c.want.Set("client_secret", "s")
		if got := all[i]; got.Encode() != c.want.Encode() {
			t.Errorf("%d: it was asked %s, want %s", i, got.Encode(), c.want.Encode())
		}
	}
}

func TestATokenThatEndsIsRefreshedAndARefusedRefreshIsANewLogin(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.life = time.Second // less than a token must last
	s := source(t, credentials.Auth{OpenIDPasswordAuth: &credentials.OpenIDAuth{ProviderURL: p.URL, ClientID: "c", Username: "u", Password: "hunter2"}}, credentials.Options{})
	grants := func() string {
		var all []string
		for _, r := range p.requests() {
			all = append(all, r.Get("grant_type"))
		}
		return strings.Join(all, " ")
	}
	ask := func() error {
		_, err := s.Authorization(t.Context())
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	if err := ask(); err != nil || grants() != "password refresh_token" {
		t.Errorf("%v, %s", err, grants())
	}
	p.mu.Lock()
	p.deny["refresh_token"] = true
	p.mu.Unlock()
	if err := ask(); err != nil || grants() != "password refresh_token refresh_token password" {
		t.Errorf("%v, %s", err, grants())
	}
	p.mu.Lock()
	p.deny["password"] = true
	p.mu.Unlock()
	err := ask()
	if err == nil || !strings.Contains(err.Error(), "openIdPasswordAuth: the provider says invalid_grant: no longer") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error is %v", err)
	}
}

func TestProgramsShareALoginWhoseRefreshTokensAreTakenOnce(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.life = time.Second // so short that every call needs a new token
	cache := &credentials.Cache{Dir: filepath.Join(t.TempDir(), "logins")}
	open := func() credentials.Source {
		way := &credentials.OpenIDAuth{ProviderURL: p.URL, ClientID: "c", Username: "ada", Password: "secret"}
		return source(t, credentials.Auth{OpenIDPasswordAuth: way}, credentials.Options{Cache: cache})
	}
	if err := open().(*credentials.OpenID).Login(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.deny["password"] = true // from now on they have what is kept, and nothing else
	first, second := open(), open()
	for i, s := range []credentials.Source{first, second, first, second, open()} {
		if _, err := s.Authorization(t.Context()); err != nil {
			t.Errorf("call %d: %v", i, err)
		}
	}
}

func TestProgramsThatRefreshALoginAtOnceWaitForEachOther(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.life = time.Second
	cache := &credentials.Cache{Dir: filepath.Join(t.TempDir(), "logins")}
	way := &credentials.OpenIDAuth{ProviderURL: p.URL, ClientID: "c", Username: "ada", Password: "secret"}
	open := func() credentials.Source {
		return source(t, credentials.Auth{OpenIDPasswordAuth: way}, credentials.Options{Cache: cache})
	}
	if err := open().(*credentials.OpenID).Login(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.deny["password"] = true
	var programs sync.WaitGroup
	for range 20 {
		s := open()
		programs.Go(func() {
			if _, err := s.Authorization(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	programs.Wait()
}

func TestLoggingOutTellsWhetherTheProviderTookTheLoginBack(t *testing.T) {
	t.Parallel()
	p := newProvider(t) // says of no place where logins are taken back
	way := &credentials.OpenIDAuth{ProviderURL: p.URL, ClientID: "c", Username: "ada", Password: "secret"}
	cache := &credentials.Cache{Dir: filepath.Join(t.TempDir(), "logins")}
	login := source(t, credentials.Auth{OpenIDPasswordAuth: way}, credentials.Options{Cache: cache}).(*credentials.OpenID)
	if err := login.Login(t.Context()); err != nil {
		t.Fatal(err)
	}
	if there, ended, err := login.Logout(t.Context()); !there || ended || err != nil {
		t.Errorf("there was a login: %t, it has ended: %t, %v", there, ended, err)
	}
	if there, ended, err := login.Logout(t.Context()); there || !ended || err != nil {
		t.Errorf("once more, there was a login: %t, it has ended: %t, %v", there, ended, err)
	}
}

func TestWhereNobodyIsThereALoginSaysWhatToDo(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := source(t, credentials.Auth{OpenIDAuth: &credentials.OpenIDAuth{ProviderURL: p.URL, ClientID: "c"}}, credentials.Options{})
	if _, err := s.Authorization(t.Context()); err == nil || !strings.Contains(err.Error(), "armadactl auth login") {
		t.Errorf("the error is %v", err)
	}
}

func TestOnlyTheProvidersOwnAnswerEndsALoginInTheBrowser(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	pages := make(chan *url.URL, 1)
	s := source(t, credentials.Auth{OpenIDAuth: &credentials.OpenIDAuth{ProviderURL: p.URL, ClientID: "c"}}, credentials.Options{Terminal: &credentials.Terminal{
		Out: io.Discard, Browse: func(page string) error {
			u, err := url.Parse(page)
			pages <- u
			return err
		},
	}})
	done := make(chan error, 1)
	go func() { _, err := s.Authorization(t.Context()); done <- err }()
	page := (<-pages).Query()
	if page.Get("code_challenge_method") != "S256" || page.Get("code_challenge") == "" || page.Get("scope") != "openid" {
		t.Errorf("the page is %v", page)
	}
	back := func(state string) int {
		answer, err := http.Get(page.Get("redirect_uri") + "?code=1&state=" + url.QueryEscape(state))
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		return answer.StatusCode
	}
	if code := back("a guess"); code != http.StatusBadRequest {
		t.Errorf("another login is answered %d", code)
	}
	if code := back(page.Get("state")); code != http.StatusOK {
		t.Errorf("the login is answered %d", code)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	last := p.requests()[0]
	if last.Get("code") != "1" || last.Get("code_verifier") == "" || last.Get("redirect_uri") != page.Get("redirect_uri") {
		t.Errorf("the code was exchanged by %v", last)
	}
}

func TestAServiceAccountsTokenIsWrappedAsServersOf2026WantIt(t *testing.T) {
	t.Parallel()
	s := source(t, credentials.Auth{KubernetesNativeAuth: &credentials.KubernetesNativeAuth{Enabled: true}},
		credentials.Options{Getenv: func(string) string { return "the token itself" }})
	header, err := s.Authorization(t.Context())
	scheme, text, _ := strings.Cut(header, " ")
	wrapped, _ := base64.StdEncoding.DecodeString(text)
	if err != nil || scheme != "KubernetesAuth" || !strings.Contains(string(wrapped), `"token":"the token itself"`) {
		t.Errorf("%s %s, %v", scheme, wrapped, err)
	}
}

func TestWhatIsWrongWithAWayIsNamedByItsKey(t *testing.T) {
	t.Parallel()
	good := credentials.OpenIDAuth{ProviderURL: "https://login.example", ClientID: "c"}
	for want, auth := range map[string]credentials.Auth{
		"basicAuth.username: is missing":                       {BasicAuth: &credentials.BasicAuth{Password: "x"}},
		"basicAuth.passwordFile: password is set too":          {BasicAuth: &credentials.BasicAuth{Username: "x", Password: "x", PasswordFile: "x"}},
		"openIdAuth.providerUrl: must begin with https://":     {OpenIDAuth: &credentials.OpenIDAuth{ProviderURL: "http://login.example", ClientID: "c"}},
		"openIdDeviceAuth.clientId: is missing":                {OpenIDDeviceAuth: &credentials.OpenIDAuth{ProviderURL: good.ProviderURL}},
		"openIdPasswordAuth.username: is missing":              {OpenIDPasswordAuth: &good},
		"openIdClientCredentialsAuth.clientSecret: is missing": {OpenIDClientCredentialsAuth: &good},
		"kerberosAuth.principal: and keytab go together":       {KerberosAuth: &credentials.KerberosAuth{Enabled: true, Keytab: "x"}},
		"kerberosAuth.principal: must be name@REALM":           {KerberosAuth: &credentials.KerberosAuth{Enabled: true, Keytab: "x", Principal: "x"}},
		"execAuth.cmd: is missing":                             {ExecAuth: &credentials.ExecAuth{}},
	} {
		if err := auth.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("the error is %v, want %s", err, want)
		}
	}
	if s, err := credentials.New(credentials.Auth{KerberosAuth: &credentials.KerberosAuth{}}, credentials.Options{}); s != nil || err != nil {
		t.Errorf("nobody in particular is %v, %v", s, err)
	}
}
