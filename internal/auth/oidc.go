package auth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// OpenID sets a provider of OpenID Connect.
type OpenID struct {
	// ProviderURL is the provider's issuer: below it, the provider describes itself
	// under /.well-known/openid-configuration.
	ProviderURL string `yaml:"providerUrl"`
	// ClientID is the audience that a token must be for, and Audiences are others
	// that it may be for.
	ClientID  string `yaml:"clientId"`
	Audiences []string
	// SkipClientIDCheck takes tokens whoever they are for. Then whoever gets a token
	// of one of its users for another service may use it here.
	SkipClientIDCheck bool `yaml:"skipClientIDCheck"`
	// UsernameClaim has the name of the user, sub when empty. UsernamePrefix is put
	// before it.
	UsernameClaim  string
	UsernamePrefix string
	// GroupsClaim has the groups of the user, and GroupsPrefix is put before each.
	GroupsClaim  string
	GroupsPrefix string
	// ClockSkew is by how much the clocks of the provider and of the server may
	// differ.
	ClockSkew time.Duration
	// CAFile has the certificates of authorities that the provider's own is checked
	// against; empty is those of the system.
	CAFile string
}

// IsSet tells whether there is a provider.
func (o OpenID) IsSet() bool { return o.ProviderURL != "" }

// Validate tells everything that is wrong.
func (o OpenID) Validate() error {
	if !o.IsSet() {
		if o.ClientID != "" || o.GroupsClaim != "" || o.SkipClientIDCheck {
			return errors.New("providerUrl: must not be empty when something else of the provider is set")
		}
		return nil
	}
	var errs []error
	if err := secureURL(o.ProviderURL); err != nil {
		errs = append(errs, fmt.Errorf("providerUrl: %w", err))
	}
	if o.ClientID == "" && len(o.Audiences) == 0 && !o.SkipClientIDCheck {
		errs = append(errs, errors.New("clientId: must name the client that tokens are made for, as the provider knows it"))
	}
	if o.ClockSkew < 0 || o.ClockSkew > 10*time.Minute {
		errs = append(errs, fmt.Errorf("clockSkew: must be from 0 to 10m, is %s", o.ClockSkew))
	}
	return errors.Join(errs...)
}

// secureURL wants https, and http on this machine only.
func secureURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return fmt.Errorf("must be the URL https://host/path, is %q", text)
	}
	if u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()) {
		return nil
	}
	return fmt.Errorf("must begin with https:// (http is taken for this machine only), is %q", text)
}

// openID is the method.
type openID struct {
	config OpenID
	client *http.Client
	log    *slog.Logger
	now    func() time.Time

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier // nil until the provider has described itself
	failed   time.Time             // when it was asked for that in vain
	why      error
}

func newOpenID(config OpenID, log *slog.Logger, now func() time.Time) (*openID, error) {
	client, err := httpsClient(config.CAFile)
	if err != nil {
		return nil, fmt.Errorf("caFile: %w", err)
	}
	return &openID{config: config, client: client, log: log, now: now}, nil
}

// askAgain is how long a provider that did not answer is left alone.
const askAgain = time.Second

// ready returns what verifies tokens. The provider is asked to describe itself at
// the first token and, when that fails, at later ones: it may come later than the
// server.
func (o *openID) ready(ctx context.Context) (*oidc.IDTokenVerifier, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.verifier != nil {
		return o.verifier, nil
	}
	if o.why != nil && o.now().Sub(o.failed) < askAgain {
		return nil, o.why
	}
	// Whoever asked first may leave; the answer is for everybody.
	ctx, cancel := context.WithTimeout(oidc.ClientContext(context.WithoutCancel(ctx), o.client), patience)
	defer cancel()
	provider, err := oidc.NewProvider(ctx, o.config.ProviderURL)
	if err != nil {
		if o.why == nil { // once, until it has described itself
			o.log.Warn("the OpenID provider does not describe itself: nobody can log in by it", "provider", o.config.ProviderURL, "error", err)
		}
		o.failed = o.now()
		o.why = unknowable("openIdConnect: the provider %s does not describe itself at the moment: %v", o.config.ProviderURL, err)
		return nil, o.why
	}
	var about struct {
		Keys string   `json:"jwks_uri"`
		Algs []string `json:"id_token_signing_alg_values_supported"`
	}
	if err := provider.Claims(&about); err != nil || about.Keys == "" {
		return nil, unknowable("openIdConnect: the provider %s does not say where its keys are", o.config.ProviderURL)
	}
	// The set of keys lives on, so it gets no context that ends.
	keys := oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), o.client), about.Keys)
	o.verifier = oidc.NewVerifier(o.config.ProviderURL, &keySet{keys}, &oidc.Config{
		SkipClientIDCheck:    true, // it is checked below, for several audiences
		SupportedSigningAlgs: asymmetric(about.Algs),
		Now:                  func() time.Time { return o.now().Add(-o.config.ClockSkew) },
	})
	return o.verifier, nil
}

// asymmetric leaves out what no provider may sign with for us: none, and keys that
// are shared.
func asymmetric(algorithms []string) []string {
	return slices.DeleteFunc(slices.Clone(algorithms), func(a string) bool { return a == "none" || strings.HasPrefix(a, "HS") })
}

// keySet tells keys that could not be had from a wrong signature.
type keySet struct{ *oidc.RemoteKeySet }

type unreachableKey struct{}

// VerifySignature notes in the context when the keys could not be had.
func (k *keySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.RemoteKeySet.VerifySignature(ctx, jwt)
	if cause := errors.Unwrap(err); cause != nil { // what did not come from the token
		if note, ok := ctx.Value(unreachableKey{}).(*error); ok {
			*note = cause
		}
	}
	return payload, err
}

func (o *openID) authenticate(ctx context.Context, token string) (Principal, error) {
	verifier, err := o.ready(ctx)
	if err != nil {
		return Principal{}, err
	}
	var unreachable error
	verified, err := verifier.Verify(context.WithValue(ctx, unreachableKey{}, &unreachable), token)
	var expired *oidc.TokenExpiredError
	switch {
	case unreachable != nil && ctx.Err() != nil:
		return Principal{}, ctx.Err()
	case unreachable != nil:
		return Principal{}, unknowable("openIdConnect: the keys of the provider %s cannot be had at the moment: %v", o.config.ProviderURL, unreachable)
	case errors.As(err, &expired):
		return Principal{}, refused("openIdConnect: the token has expired at %s", expired.Expiry.UTC().Format(time.RFC3339))
	case err != nil:
		return Principal{}, refused("openIdConnect: %v", err)
	}
	if err := o.forUs(verified.Audience); err != nil {
		return Principal{}, err
	}
	var claims map[string]any
	if err := verified.Claims(&claims); err != nil {
		return Principal{}, refused("openIdConnect: the claims of the token cannot be read")
	}
	return o.principal(claims)
}

// forUs checks the audience.
func (o *openID) forUs(audience []string) error {
	if o.config.SkipClientIDCheck {
		return nil
	}
	for _, a := range audience {
		if a != "" && (a == o.config.ClientID || slices.Contains(o.config.Audiences, a)) {
			return nil
		}
	}
	names := make([]string, len(audience))
	for i, a := range audience {
		names[i] = shown(a)
	}
	return refused("openIdConnect: the token is for %s, not for this server", strings.Join(names, ", "))
}

// principal reads who the claims are about.
func (o *openID) principal(claims map[string]any) (Principal, error) {
	p := Principal{Method: MethodOpenID}
	claim := o.config.UsernameClaim
	if claim == "" {
		claim = "sub"
	}
	name, _ := claims[claim].(string)
	if name == "" {
		return p, refused("openIdConnect: the token does not say who the user is: its claim %q is missing or no text", claim)
	}
	if claim == "email" {
		// Whoever may choose an address freely could choose somebody else's.
		if verified, said := claims["email_verified"]; said && verified != true {
			return p, refused("openIdConnect: the provider has not verified the e-mail address in the token")
		}
	}
	p.Name = o.config.UsernamePrefix + name
	if o.config.GroupsClaim != "" {
		for _, group := range texts(claims[o.config.GroupsClaim], false) {
			p.Groups = append(p.Groups, o.config.GroupsPrefix+group)
		}
	}
	p.Scopes = append(texts(claims["scope"], true), texts(claims["scp"], true)...)
	for name := range claims {
		p.Claims = append(p.Claims, name)
	}
	slices.Sort(p.Claims)
	return p, nil
}

// texts are the texts of a claim that is one or a list of them; one may hold
// several, with spaces between.
func texts(claim any, split bool) []string {
	switch c := claim.(type) {
	case string:
		if split {
			return strings.Fields(c)
		}
		return []string{c}
	case []any:
		var all []string
		for _, each := range c {
			if text, ok := each.(string); ok {
				all = append(all, text)
			}
		}
		return all
	}
	return nil
}

// issued tells whether a token says that it comes from the provider. Nothing is
// verified here: it decides only who is asked.
func (o *openID) issued(token string) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return false
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return false
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	return json.Unmarshal(text, &claims) == nil && claims.Issuer == o.config.ProviderURL
}
