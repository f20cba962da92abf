package credentials

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// OpenID is a caller with a login at a provider of OpenID Connect.
type OpenID struct {
	way    string
	config OpenIDAuth
	keep   bool
	o      Options
	client *http.Client

	mu     sync.Mutex
	oauth  *oauth2.Config // nil until the provider has described itself
	revoke string         // where the provider takes tokens back; empty for nowhere
	login  kept
	token  held
}

func newOpenID(way string, config OpenIDAuth, keep bool, o Options) (*OpenID, error) {
	s := &OpenID{way: way, config: config, keep: keep, o: o}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if config.CAFile != "" {
		text, err := os.ReadFile(config.CAFile)
		if err != nil {
			return nil, fmt.Errorf("%s.caFile: %w", way, err)
		}
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s.caFile: there is no certificate in %s; it must be a file in PEM", way, config.CAFile)
		}
	}
	s.client = &http.Client{Transport: transport, Timeout: 30 * time.Second}
	return s, nil
}

// Authorization returns the token. When there is none, or it has ended, it is
// refreshed, and when that does not do, there is a new login.
func (s *OpenID) Authorization(ctx context.Context) (string, error) {
	token, err := s.token.get(func() (string, time.Time, error) {
		return s.fetch(ctx, s.refresh, s.ask)
	})
	if err != nil {
		return "", fmt.Errorf("%s: %w", s.way, err)
	}
	return "Bearer " + token, nil
}

// Login logs in anew, whatever there was, and keeps the login in the cache.
func (s *OpenID) Login(ctx context.Context) error {
	s.keep = true
	s.token.mu.Lock()
	s.token.token = ""
	s.token.mu.Unlock()
	_, err := s.token.get(func() (string, time.Time, error) { return s.fetch(ctx, s.ask) })
	if err != nil {
		return fmt.Errorf("%s: %w", s.way, err)
	}
	return nil
}

// Logout forgets a login that is kept, and has the provider take it back. It tells
// whether there was one, and whether nothing of it is good at the provider any more:
// not every provider takes logins back, and it may not answer.
func (s *OpenID) Logout(ctx context.Context) (there, ended bool, err error) {
	if s.o.Cache == nil {
		return false, true, nil
	}
	k, _ := s.o.Cache.load(s.way, &s.config) // what cannot be read is deleted all the same
	there, err = s.o.Cache.forget(s.way, &s.config)
	if err != nil || k.RefreshToken == "" {
		return there, true, err
	}
	if err := s.discover(ctx); err != nil || s.revoke == "" {
		return there, false, nil //nolint:nilerr // the login is gone from here, and ended says the rest
	}
	form := url.Values{"token": {k.RefreshToken}, "token_type_hint": {"refresh_token"}, "client_id": {s.config.ClientID}}
	if s.config.ClientSecret != "" {
		form.Set("client_secret", s.config.ClientSecret)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.revoke, strings.NewReader(form.Encode()))
	if err != nil {
		return there, false, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := s.client.Do(request)
	if err != nil {
		return there, false, nil //nolint:nilerr // as above
	}
	return there, answer.StatusCode == http.StatusOK, answer.Body.Close()
}

// Close ends nothing: there is nothing in the background.
func (*OpenID) Close() error { return nil }

// fetch tries ways to a token in turn until one brings one; one that has none to
// offer returns errNothing.
func (s *OpenID) fetch(ctx context.Context, ways ...func(context.Context) (*oauth2.Token, error)) (string, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.o.Cache != nil && len(ways) > 1 {
		unlock, err := s.o.Cache.lock(ctx, s.way, &s.config)
		if err != nil {
			return "", time.Time{}, fmt.Errorf("wait for other programs with the same login: %w", err)
		}
		defer unlock() // when what we got is kept
		there, err := s.o.Cache.load(s.way, &s.config)
		if err != nil {
			return "", time.Time{}, err
		}
		if there != (kept{}) { // what is kept stays kept when it is refreshed, and another program may have done that
			s.login, s.keep = there, true
			if token, until, err := s.choose(); err == nil && time.Now().Before(until.Add(-early)) {
				return token, until, nil
			}
		}
	}
	if err := s.discover(ctx); err != nil {
		return "", time.Time{}, err
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, s.client)
	var token *oauth2.Token
	err := errNothing
	for _, way := range ways {
		if token, err = way(ctx); !errors.Is(err, errNothing) {
			break
		}
	}
	if err != nil {
		return "", time.Time{}, told(err)
	}
	id, _ := token.Extra("id_token").(string)
	s.login.AccessToken, s.login.IDToken = token.AccessToken, id
	if token.RefreshToken != "" {
		s.login.RefreshToken = token.RefreshToken
	}
	chosen, until, err := s.choose()
	if err != nil {
		return "", time.Time{}, err
	}
	if until.IsZero() {
		until = token.Expiry
	}
	if until.IsZero() {
		until = time.Now().Add(unknownLife + early)
	}
	if s.keep && s.o.Cache != nil {
		if err := s.o.Cache.save(s.way, &s.config, s.login); err != nil {
			return "", time.Time{}, fmt.Errorf("keep the login: %w", err)
		}
	}
	return chosen, until, nil
}

var errNothing = errors.New("nothing")

// told is an error of the provider without what we said to it.
func told(err error) error {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.ErrorCode != "" {
		if refused.ErrorDescription != "" {
			return fmt.Errorf("the provider says %s: %s", refused.ErrorCode, refused.ErrorDescription)
		}
		return fmt.Errorf("the provider says %s", refused.ErrorCode)
	}
	return err
}

// choose picks the token for the server.
func (s *OpenID) choose() (string, time.Time, error) {
	access, id := s.login.AccessToken, s.login.IDToken
	readable := strings.Count(access, ".") == 2 && !expiryOf(access).IsZero()
	switch {
	case s.config.Token == "access" && access != "", s.config.Token == "" && readable:
		return access, expiryOf(access), nil
	case s.config.Token != "access" && id != "":
		return id, expiryOf(id), nil
	case s.config.Token == "" && access != "":
		return "", time.Time{}, errors.New("the provider gave an access token that the server cannot verify, and no id token; add openid to scopes, or set token: access")
	}
	return "", time.Time{}, fmt.Errorf("the provider gave no %s token; is openid among the scopes?", s.config.Token)
}

// discover asks the provider to describe itself.
func (s *OpenID) discover(ctx context.Context) error {
	if s.oauth != nil {
		return nil
	}
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, s.client), s.config.ProviderURL)
	if err != nil {
		return fmt.Errorf("the provider does not describe itself: %w", err)
	}
	var about struct {
		Revoke string `json:"revocation_endpoint"`
	}
	if err := provider.Claims(&about); err != nil {
		return fmt.Errorf("the provider's description of itself: %w", err)
	}
	scopes := s.config.Scopes
	if s.way != keyClientCredentials && s.way != keyOpenIDKubernetes && !slices.Contains(scopes, oidc.ScopeOpenID) {
		scopes = append([]string{oidc.ScopeOpenID}, scopes...)
	}
	s.oauth = &oauth2.Config{ClientID: s.config.ClientID, ClientSecret: s.config.ClientSecret, Endpoint: provider.Endpoint(), Scopes: scopes}
	s.revoke = about.Revoke
	return nil
}

// refresh gets a new token for one that has ended. A refresh token that is not
// taken any more is forgotten.
func (s *OpenID) refresh(ctx context.Context) (*oauth2.Token, error) {
	if s.login.RefreshToken == "" {
		return nil, errNothing
	}
	token, err := s.oauth.TokenSource(ctx, &oauth2.Token{RefreshToken: s.login.RefreshToken}).Token()
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) || refused.Response == nil || refused.Response.StatusCode >= http.StatusInternalServerError {
		return token, err
	}
	s.login.RefreshToken = ""
	return nil, errNothing
}

// ask logs in.
func (s *OpenID) ask(ctx context.Context) (*oauth2.Token, error) {
	switch s.way {
	case keyPassword:
		return s.oauth.PasswordCredentialsToken(ctx, s.config.Username, s.config.Password)
	case keyClientCredentials:
		return (&clientcredentials.Config{
			ClientID: s.config.ClientID, ClientSecret: s.config.ClientSecret, TokenURL: s.oauth.Endpoint.TokenURL, Scopes: s.config.Scopes,
		}).Token(ctx)
	case keyOpenIDKubernetes:
		return s.exchange(ctx)
	}
	if s.o.Terminal == nil {
		return nil, errors.New("nobody is logged in, and there is no terminal to ask somebody: armadactl auth login logs in for programs too")
	}
	if s.way == keyDevice {
		return s.device(ctx)
	}
	return s.browser(ctx)
}

// exchange gives the provider the token of the pod's service account for one of
// its own (RFC 8693).
func (s *OpenID) exchange(ctx context.Context) (*oauth2.Token, error) {
	subject, err := podToken("", s.o.Getenv)
	if err != nil {
		return nil, err
	}
	return (&clientcredentials.Config{
		ClientID: s.config.ClientID, ClientSecret: s.config.ClientSecret, TokenURL: s.oauth.Endpoint.TokenURL, Scopes: s.config.Scopes,
		EndpointParams: url.Values{
			"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
			"subject_token":      {subject},
			"subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"},
		},
	}).Token(ctx)
}

// device has the person log in with a browser elsewhere (RFC 8628).
func (s *OpenID) device(ctx context.Context) (*oauth2.Token, error) {
	if s.oauth.Endpoint.DeviceAuthURL == "" {
		return nil, errors.New("the provider does not offer logins of devices")
	}
	begun, err := s.oauth.DeviceAuth(ctx)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(s.o.Terminal.Out, "To log in, open %s and enter the code %s\n", begun.VerificationURI, begun.UserCode)
	return s.oauth.DeviceAccessToken(ctx, begun)
}

// loginPatience is how long a person may take in the browser.
const loginPatience = 5 * time.Minute

// browser has the person log in here (RFC 8252, with PKCE as RFC 7636 says): the
// provider sends the browser back to a port of this machine.
func (s *OpenID) browser(ctx context.Context) (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, loginPatience)
	defer cancel()
	var binding net.ListenConfig
	listener, err := binding.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(s.config.LocalPort))))
	if err != nil {
		return nil, fmt.Errorf("localPort: %w", err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	flow := *s.oauth
	flow.RedirectURL = "http://localhost:" + port + callbackPath
	verifier, state := oauth2.GenerateVerifier(), rand.Text()
	back := &comeback{state: state, done: make(chan url.Values, 1)}
	server := &http.Server{Handler: back, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(listener) }()
	defer func() { _ = server.Close(); <-served }()

	page := flow.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier))
	if s.o.Terminal.Browse == nil || s.o.Terminal.Browse(page) != nil {
		fmt.Fprintf(s.o.Terminal.Out, "To log in, open this page in a browser of this machine:\n%s\n", page)
	} else {
		fmt.Fprintf(s.o.Terminal.Out, "Log in in the browser. If none has opened, this is the page:\n%s\n", page)
	}
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("nobody logged in: %w", ctx.Err())
	case answer := <-back.done:
		if code := answer.Get("code"); code != "" {
			return flow.Exchange(ctx, code, oauth2.VerifierOption(verifier))
		}
		return nil, fmt.Errorf("the provider says %s: %s", answer.Get("error"), answer.Get("error_description"))
	}
}

const callbackPath = "/auth/callback"

// comeback takes the browser's return, once.
type comeback struct {
	state string
	done  chan url.Values
}

// ServeHTTP takes what the provider says. Whoever does not know the state was not
// sent by the login that waits.
func (c *comeback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := r.URL.Query()
	if r.URL.Path != callbackPath || subtle.ConstantTimeCompare([]byte(answer.Get("state")), []byte(c.state)) != 1 {
		http.Error(w, "This is not the login that is waited for.", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if answer.Get("code") == "" {
		_, _ = io.WriteString(w, "The login failed; the terminal says why. You can close this page.\n")
	} else {
		_, _ = io.WriteString(w, "You are logged in. You can close this page.\n")
	}
	select {
	case c.done <- answer:
	default:
	}
}
