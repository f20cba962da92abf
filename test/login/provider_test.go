package login

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"armada/pkg/client/credentials"
)

// provider is a provider of OpenID Connect with the user alice, who is in the group
// admins.
type provider struct {
	URL  string
	down atomic.Bool
	db   *database
}

// database is what the provider knows.
type database struct {
	*storage.Storage

	mu   sync.Mutex
	key  *signingKey
	jwts bool // whether access tokens are JWTs
}

type signingKey struct {
	id  string
	key *ecdsa.PrivateKey
}

func (k *signingKey) ID() string                                  { return k.id }
func (k *signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (k *signingKey) Key() any                                    { return k.key }

type publicKey struct{ *signingKey }

func (k publicKey) Algorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (k publicKey) Use() string                        { return "sig" }
func (k publicKey) Key() any                           { return k.key.Public() }

// rotate signs by a new key from now on; the one before is forgotten.
func (d *database) rotate() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.key = &signingKey{rand.Text(), key}
}

func (d *database) SigningKey(context.Context) (op.SigningKey, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.key, nil
}

func (d *database) KeySet(context.Context) ([]op.Key, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return []op.Key{publicKey{d.key}}, nil
}

func (d *database) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.ES256}, nil
}

// application is a client of the provider whose access tokens may be JWTs.
type application struct {
	op.Client

	jwts bool
}

func (a application) AccessTokenType() op.AccessTokenType {
	if a.jwts {
		return op.AccessTokenTypeJWT
	}
	return op.AccessTokenTypeBearer
}

func (d *database) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := d.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	return application{c, d.jwts}, nil
}

func (d *database) ClientCredentials(ctx context.Context, id, secret string) (op.Client, error) {
	c, err := d.Storage.ClientCredentials(ctx, id, secret)
	if err != nil {
		return nil, err
	}
	return application{c, true}, nil
}

// Groups are in tokens of both kinds.
var groupsClaim = map[string]any{"groups": []string{"admins"}}

func (d *database) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return groupsClaim, nil
}

func (d *database) SetUserinfoFromRequest(_ context.Context, info *oidc.UserInfo, r op.IDTokenRequest, _ []string) error {
	info.Subject = r.GetSubject()
	info.AppendClaims("groups", groupsClaim["groups"])
	return nil
}

// people are the users.
type people struct{}

func (people) GetUserByID(id string) *storage.User {
	if id != "alice" {
		return nil
	}
	return &storage.User{ID: "alice", Username: "alice", Password: "verysecure"}
}
func (p people) GetUserByUsername(name string) *storage.User { return p.GetUserByID(name) }
func (people) ExampleClientID() string                       { return "service" }

// newProvider starts a provider.
func newProvider(t *testing.T, jwts bool) *provider {
	t.Helper()
	everything.secret("verysecure", "verysecret", "a secret of the device")
	p := &provider{db: &database{jwts: jwts, Storage: storage.NewStorageWithClients(people{}, map[string]*storage.Client{
		"armada": storage.NativeClient("armada", "http://localhost/auth/callback"),
		"device": storage.DeviceClient("device", "a secret of the device"),
		"other":  storage.NativeClient("other", "http://localhost/auth/callback"),
	})}}
	p.db.rotate()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	p.URL = "http://localhost:" + port
	router := exampleop.SetupServer(p.URL, p.db, nil, false)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.down.Load() {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		router.ServeHTTP(w, r)
	})}
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close(); <-served })
	return p
}

// A person logs in in a browser: the page is opened, the form filled in and sent.
func (p *provider) person(page string) error {
	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}
	at, form, err := open(browser.Get(page))
	if err != nil {
		return err
	}
	for range 5 { // pages until there is no form any more
		if form == nil {
			return nil
		}
		target, err := at.Parse(form.action)
		if err != nil {
			return err
		}
		if form.values == nil {
			at, form, err = open(browser.Get(target.String()))
		} else {
			form.values.Set("username", "alice")
			form.values.Set("password", "verysecure")
			at, form, err = open(browser.PostForm(target.String(), form.values))
		}
		if err != nil {
			return err
		}
	}
	return errors.New("there are ever more forms")
}

// form is what a page asks for; without values it is a button.
type form struct {
	action string
	values url.Values
}

var (
	formTag  = regexp.MustCompile(`(?s)<form[^>]*action="([^"]*)"`)
	allowing = regexp.MustCompile(`location\.href='([^']*allowed)'`)
	inputTag = regexp.MustCompile(`(?s)<(?:input|button)[^>]*name="([^"]*)"(?:[^>]*value="([^"]*)")?`)
)

// open reads a page with a form, if it has one.
func open(answer *http.Response, err error) (*url.URL, *form, error) {
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, nil, errors.New(answer.Status + ": " + string(text))
	}
	if button := allowing.FindSubmatch(text); button != nil {
		return answer.Request.URL, &form{action: string(button[1])}, nil
	}
	tag := formTag.FindSubmatch(text)
	if tag == nil {
		return answer.Request.URL, nil, nil
	}
	f := &form{action: string(tag[1]), values: url.Values{}}
	for _, input := range inputTag.FindAllSubmatch(text, -1) {
		f.values.Set(string(input[1]), string(input[2]))
	}
	return answer.Request.URL, f, nil
}

// terminal is one with a person before it.
func (p *provider) terminal(t *testing.T, logins *atomic.Int32) *credentials.Terminal {
	return &credentials.Terminal{Out: io.Discard, Browse: func(page string) error {
		logins.Add(1)
		go func() {
			if err := p.person(page); err != nil {
				t.Errorf("the person cannot log in: %v", err)
			}
		}()
		return nil
	}}
}

func TestALoginInTheBrowserIsKeptAndRefreshedAsInTheHowto(t *testing.T) {
	t.Parallel()
	for _, jwts := range []bool{true, false} { // the access token is sent, or the id token
		p := newProvider(t, jwts)
		blocks := examples(t, "### OpenID Connect", "yaml")
		s := serve(t, blocks[0], "https://login.example", p.URL)
		config := clientOf(t, blocks[1], "https://login.example", p.URL, "armada.example:50051", s.grpc)
		var logins atomic.Int32
		config.Terminal, config.Logins = p.terminal(t, &logins), &credentials.Cache{Dir: filepath.Join(t.TempDir(), "logins")}

		source, err := config.Source()
		if err != nil {
			t.Fatal(err)
		}
		if err := source.(*credentials.OpenID).Login(t.Context()); err != nil {
			t.Fatal(err)
		}
		config.Terminal = nil // nobody is there any more
		calls(t, config, "alice")
		header, err := source.Authorization(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if code, _ := get(t, s.http, header); code != http.StatusOK {
			t.Errorf("over REST it is answered %d", code)
		}
		if code, _ := get(t, s.http, header[:len(header)-8]+"AAAAAAAA"); code != http.StatusUnauthorized {
			t.Errorf("with another signature it is answered %d", code)
		}

		files, err := filepath.Glob(filepath.Join(config.Logins.Dir, "*.json"))
		if err != nil || len(files) != 1 {
			t.Fatalf("kept are %v, %v", files, err)
		}
		if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("it is kept with mode %v, %v", info.Mode(), err)
		}
		// The keys of the provider change. The token of before is not taken any more, and the
		// login is good for a new one.
		p.db.rotate()
		login, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range regexp.MustCompile(`Token":"([^"]*)"`).FindAllSubmatch(login, -1) {
			everything.secret(string(part[1]))
		}
		forgetTokens(t, files[0])
		calls(t, config, "alice")
		if code, _ := get(t, s.http, header); code != http.StatusOK && code != http.StatusUnauthorized {
			t.Errorf("with the token of before it is answered %d", code)
		}

		if err := os.Chmod(files[0], 0o644); err != nil {
			t.Fatal(err)
		}
		open, err := config.Source()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := open.Authorization(t.Context()); err == nil || !strings.Contains(err.Error(), "can be read by others") {
			t.Errorf("a login that others can read: %v", err)
		}
		if err := os.Chmod(files[0], 0o600); err != nil {
			t.Fatal(err)
		}
		if there, ended, err := open.(*credentials.OpenID).Logout(t.Context()); !there || !ended || err != nil {
			t.Errorf("logging out: %v, %v", there, err)
		}
		if _, err := open.Authorization(t.Context()); err == nil {
			again, _ := config.Source()
			if _, err := again.Authorization(t.Context()); err == nil || !strings.Contains(err.Error(), "armadactl auth login") {
				t.Errorf("after logging out: %v", err)
			}
		}
		if n := logins.Load(); n != 1 {
			t.Errorf("somebody logged in %d times", n)
		}
	}
}

// forgetTokens leaves only what a login can be refreshed by.
func forgetTokens(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rest := regexp.MustCompile(`"(accessToken|idToken)":"[^"]*",?`).ReplaceAll(text, nil)
	if !strings.Contains(string(rest), "refreshToken") {
		t.Fatal("no refresh token is kept")
	}
	if err := os.WriteFile(file, rest, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestADeviceAndAProgramLogInToo(t *testing.T) {
	t.Parallel()
	p := newProvider(t, true)
	blocks := examples(t, "### OpenID Connect", "yaml")
	s := serve(t, blocks[0], "https://login.example", p.URL, "clientId: armada", "clientId: armada\n    audiences: [device, sid1]")
	device := clientOf(t, "armadaUrl: "+s.grpc+"\nopenIdDeviceAuth: {providerUrl: "+p.URL+", clientId: device, clientSecret: a secret of the device}\n")
	told, tell := io.Pipe()
	device.Terminal = &credentials.Terminal{Out: tell}
	helped := make(chan error, 1)
	go func() {
		text := make([]byte, 1000)
		n, _ := told.Read(text)
		words := strings.Fields(string(text[:n])) // To log in, open URL and enter the code CODE
		helped <- p.person(words[4] + "?user_code=" + url.QueryEscape(words[len(words)-1]))
	}()
	source, err := device.Source()
	if err != nil {
		t.Fatal(err)
	}
	header, err := source.Authorization(t.Context())
	if err != nil {
		t.Fatalf("%v; the person: %v", err, <-helped)
	}
	if err := <-helped; err != nil {
		t.Error(err)
	}
	if code, _ := get(t, s.http, header); code != http.StatusNotFound { // let in, and there is no queue
		t.Errorf("a device is answered %d", code)
	}
	calls(t, clientOf(t, "armadaUrl: "+s.grpc+"\nopenIdClientCredentialsAuth: {providerUrl: "+p.URL+", clientId: sid1, clientSecret: verysecret}\n"), "sid1")

	// A token for another client is not for this server.
	var logins atomic.Int32
	other := clientOf(t, "armadaUrl: "+s.grpc+"\nopenIdAuth: {providerUrl: "+p.URL+", clientId: other}\n")
	other.Terminal = p.terminal(t, &logins)
	if source, err = other.Source(); err != nil {
		t.Fatal(err)
	}
	if header, err = source.Authorization(t.Context()); err != nil {
		t.Fatal(err)
	}
	if code, _ := get(t, s.http, header); code != http.StatusUnauthorized {
		t.Errorf("a token for another client is answered %d", code)
	}
}

func TestTheServerStartsBeforeItsProviderAndOutlivesIt(t *testing.T) {
	t.Parallel()
	p := newProvider(t, true)
	login := credentials.Auth{OpenIDClientCredentialsAuth: &credentials.OpenIDAuth{ProviderURL: p.URL, ClientID: "sid1", ClientSecret: "verysecret"}}
	token := func() string {
		source, err := credentials.New(login, credentials.Options{})
		if err != nil {
			t.Fatal(err)
		}
		header, err := source.Authorization(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return header
	}
	first := token()
	p.down.Store(true)
	s := serve(t, examples(t, "### OpenID Connect", "yaml")[0], "https://login.example", p.URL, "clientId: armada", "clientId: sid1")
	if code, _ := get(t, s.http, first); code != http.StatusServiceUnavailable {
		t.Errorf("before its provider is there it answers %d", code)
	}
	p.down.Store(false)
	for {
		if code, _ := get(t, s.http, first); code == http.StatusNotFound { // let in, and there is no queue
			break
		} else if code != http.StatusServiceUnavailable {
			t.Fatalf("when its provider is there it answers %d", code)
		}
	}
	p.down.Store(true)
	if code, _ := get(t, s.http, first); code != http.StatusNotFound {
		t.Errorf("when its provider is away again it answers %d", code)
	}
	p.down.Store(false)
	p.db.rotate()
	if code, _ := get(t, s.http, token()); code != http.StatusNotFound {
		t.Errorf("a token by a new key is answered %d", code)
	}
}
