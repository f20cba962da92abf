package auth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Kubernetes sets which clusters are asked about the tokens of their service
// accounts.
type Kubernetes struct {
	// APIServer is the URL of the cluster's API, https://kubernetes.default.svc from
	// inside it.
	APIServer string
	// KidMappingFileLocation is a folder for several clusters: the file called by the
	// id of the key that signed a token has the URL of the API that is asked.
	KidMappingFileLocation string
	// CAFile has the certificates of the authorities of those APIs; empty is those of
	// the system.
	CAFile string
	// TokenFile has the token by which the server asks, read at every question. Empty
	// lets every token ask about itself, which its service account must be allowed.
	TokenFile string
	// Audiences are those that a token may be for; empty is those of the API.
	Audiences []string
	// InvalidTokenExpiry is how long a token that was refused is not asked about
	// again.
	InvalidTokenExpiry time.Duration
}

// IsSet tells whether there is a cluster.
func (k Kubernetes) IsSet() bool { return k.APIServer != "" || k.KidMappingFileLocation != "" }

// Validate tells everything that is wrong.
func (k Kubernetes) Validate() error {
	var errs []error
	if k.APIServer != "" {
		if err := secureURL(k.APIServer); err != nil {
			errs = append(errs, fmt.Errorf("apiServer: %w", err))
		}
	}
	if k.InvalidTokenExpiry < 0 {
		errs = append(errs, fmt.Errorf("invalidTokenExpiry: must not be negative, is %s", k.InvalidTokenExpiry))
	}
	return errors.Join(errs...)
}

// kubernetes is the method.
type kubernetes struct {
	config Kubernetes
	client *http.Client
	now    func() time.Time

	mu   sync.Mutex
	seen map[[sha256.Size]byte]review // by token
}

// review is what an API said about a token.
type review struct {
	who   Principal
	err   error // why it was refused; nil when it was not
	until time.Time
}

// How long a token is known that was taken, and how many tokens are.
const (
	takenFor    = time.Minute
	reviewsMost = 10_000
)

func newKubernetes(config Kubernetes, now func() time.Time) (*kubernetes, error) {
	client, err := httpsClient(config.CAFile)
	if err != nil {
		return nil, fmt.Errorf("caFile: %w", err)
	}
	return &kubernetes{config: config, client: client, now: now, seen: map[[sha256.Size]byte]review{}}, nil
}

// authenticateWrapped reads what clients of 2026 send: base64 of JSON with the
// token and the cluster's authority. Whom we trust is not for callers to say, so
// that authority is left alone.
func (k *kubernetes) authenticateWrapped(ctx context.Context, given string) (Principal, error) {
	var wrapped struct {
		Token string `json:"token"`
	}
	text, err := base64.StdEncoding.DecodeString(given)
	if err != nil {
		text, err = base64.RawURLEncoding.DecodeString(given)
	}
	if err != nil || json.Unmarshal(text, &wrapped) != nil || wrapped.Token == "" {
		return Principal{}, refused(`kubernetes: what follows the scheme must be base64 of {"token": …}`)
	}
	return k.authenticate(ctx, wrapped.Token)
}

func (k *kubernetes) authenticate(ctx context.Context, token string) (Principal, error) {
	key, now := sha256.Sum256([]byte(token)), k.now()
	k.mu.Lock()
	known, there := k.seen[key]
	k.mu.Unlock()
	if there && now.Before(known.until) {
		return known.who, known.err
	}
	claims, err := claimsOf(token)
	if err != nil {
		return Principal{}, err
	}
	expiry := time.Unix(claims.Expiry, 0)
	if claims.Expiry != 0 && !now.Before(expiry) {
		return Principal{}, refused("kubernetes: the token has expired at %s", expiry.UTC().Format(time.RFC3339))
	}
	server, err := k.server(claims.KeyID)
	if err != nil {
		return Principal{}, err
	}
	fresh := review{until: now.Add(takenFor)}
	fresh.who, err = k.review(ctx, server, token)
	var again *notNow
	switch {
	case errors.As(err, &again):
		return Principal{}, again.error
	case err != nil:
		fresh.err, fresh.until = err, now.Add(k.config.InvalidTokenExpiry)
	case claims.Expiry != 0 && expiry.Before(fresh.until):
		fresh.until = expiry
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.seen) >= reviewsMost {
		for each, r := range k.seen {
			if !now.Before(r.until) || len(k.seen) > reviewsMost/2 {
				delete(k.seen, each)
			}
		}
	}
	k.seen[key] = fresh
	return fresh.who, fresh.err
}

// tokenClaims are what we look at before anybody has verified a token.
type tokenClaims struct {
	KeyID  string
	Expiry int64 `json:"exp"`
}

func claimsOf(token string) (tokenClaims, error) {
	var claims tokenClaims
	var header struct {
		KeyID string `json:"kid"`
	}
	parts := strings.Split(token, ".")
	wrong := refused("kubernetes: the token is not that of a service account")
	if len(parts) != 3 {
		return claims, wrong
	}
	for i, into := range []any{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(text, into) != nil {
			return claims, wrong
		}
	}
	claims.KeyID = header.KeyID
	return claims, nil
}

var keyID = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}$`)

// server is the URL of the API that is asked about tokens of a key.
func (k *kubernetes) server(kid string) (string, error) {
	if k.config.KidMappingFileLocation != "" && keyID.MatchString(kid) {
		text, err := os.ReadFile(filepath.Join(k.config.KidMappingFileLocation, kid))
		switch {
		case err == nil:
			server := strings.TrimSpace(string(text))
			if err := secureURL(server); err != nil {
				return "", unknowable("kubernetes: the URL of the API for the key %s: %v", shown(kid), err)
			}
			return server, nil
		case !errors.Is(err, os.ErrNotExist):
			return "", unknowable("kubernetes: the URL of the API for the key %s cannot be read", shown(kid))
		}
	}
	if k.config.APIServer == "" {
		return "", refused("kubernetes: the token is of no cluster that this server knows: its key is %s", shown(kid))
	}
	return k.config.APIServer, nil
}

// notNow is an error that says nothing about the token.
type notNow struct{ error }

// tokenReview is authentication.k8s.io/v1 TokenReview, as far as we use it.
type tokenReview struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Spec       struct {
		Token     string   `json:"token"`
		Audiences []string `json:"audiences,omitempty"`
	} `json:"spec"`
	Status struct {
		Authenticated bool     `json:"authenticated"`
		Audiences     []string `json:"audiences"`
		User          struct {
			Username string   `json:"username"`
			Groups   []string `json:"groups"`
		} `json:"user"`
	} `json:"status"`
}

func (k *kubernetes) review(ctx context.Context, server, token string) (Principal, error) {
	p := Principal{Method: MethodKubernetes}
	ask := tokenReview{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview"}
	ask.Spec.Token, ask.Spec.Audiences = token, k.config.Audiences
	body, err := json.Marshal(ask)
	if err != nil {
		return p, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(server, "/")+"/apis/authentication.k8s.io/v1/tokenreviews", bytes.NewReader(body))
	if err != nil {
		return p, &notNow{unknowable("kubernetes: %s cannot be asked: %v", server, err)}
	}
	asker := token
	if k.config.TokenFile != "" {
		text, err := os.ReadFile(k.config.TokenFile)
		if err != nil {
			return p, &notNow{unknowable("kubernetes: the server's own token cannot be read")}
		}
		asker = strings.TrimSpace(string(text))
	}
	request.Header.Set("Authorization", "Bearer "+asker)
	request.Header.Set("Content-Type", "application/json")
	answer, err := k.client.Do(request)
	if err != nil {
		return p, &notNow{unknowable("kubernetes: the API does not answer at the moment: %v", err)}
	}
	defer answer.Body.Close()
	switch code := answer.StatusCode; {
	case code == http.StatusUnauthorized && k.config.TokenFile == "":
		return p, refused("kubernetes: %s does not know the token", server)
	case code != http.StatusCreated && code != http.StatusOK:
		return p, &notNow{unknowable("kubernetes: %s answers a question about a token by %s", server, answer.Status)}
	}
	var said tokenReview
	if err := json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&said); err != nil {
		return p, &notNow{unknowable("kubernetes: the answer of %s cannot be read: %v", server, err)}
	}
	name := said.Status.User.Username
	if !said.Status.Authenticated || name == "" {
		return p, refused("kubernetes: %s does not know the token", server)
	}
	if len(k.config.Audiences) > 0 && !slices.ContainsFunc(said.Status.Audiences, func(a string) bool { return slices.Contains(k.config.Audiences, a) }) {
		return p, refused("kubernetes: the token is not for this server")
	}
	p.Name, p.Groups = name, append(said.Status.User.Groups, name)
	return p, nil
}
