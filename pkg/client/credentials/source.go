package credentials

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// Source is what a client says about who calls. Its methods may be called from
// many goroutines.
type Source interface {
	// Authorization returns what the header of that name says in the next call;
	// what it returned must not be used for another one.
	Authorization(ctx context.Context) (string, error)
	// Close ends what works in the background.
	Close() error
}

// Terminal is where a person is asked to log in.
type Terminal struct {
	In  io.Reader
	Out io.Writer // what to do is printed here; not where the program's answers go
	// Browse opens a page in a browser; nil, or an error, leaves that to the person.
	Browse func(url string) error
}

// Options are what a source works with beside its config.
type Options struct {
	// Server is the address of the server, host:port.
	Server string
	// Terminal asks a person to log in when that is needed; nil means that nobody is
	// there, and that such a login fails.
	Terminal *Terminal
	// Cache keeps logins; nil keeps none.
	Cache *Cache
	// Getenv reads the environment; nil is os.Getenv.
	Getenv func(string) string
}

// New makes the source of the way that counts; nil for a caller that is anonymous.
func New(a Auth, o Options) (Source, error) {
	if err := a.Validate(); err != nil {
		return nil, err
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	switch way := a.Way(); way {
	case "":
		return nil, nil //nolint:nilnil // the documented answer for nobody in particular
	case keyBasic:
		return basic{*a.BasicAuth}, nil
	case keyKubernetes:
		return serviceAccount{*a.KubernetesNativeAuth, o.Getenv}, nil
	case keyKerberos:
		return newKerberos(*a.KerberosAuth, o)
	case keyExec:
		return &command{config: *a.ExecAuth, terminal: o.Terminal}, nil
	default:
		return newOpenID(way, *a.openIDOf(way), a.CacheRefreshToken, o)
	}
}

// basic sends a name and a password. The scheme is in lower case as clients of all
// years send it.
type basic struct{ who BasicAuth }

func (b basic) Authorization(context.Context) (string, error) {
	password := b.who.Password
	if b.who.PasswordFile != "" {
		text, err := os.ReadFile(b.who.PasswordFile)
		if err != nil {
			return "", fmt.Errorf("basicAuth.passwordFile: %w", err)
		}
		password = strings.TrimRight(string(text), "\r\n")
	}
	return "basic " + base64.StdEncoding.EncodeToString([]byte(b.who.Username+":"+password)), nil
}

func (basic) Close() error { return nil }

// The folder that Kubernetes puts into every pod.
const podFolder = "/var/run/secrets/kubernetes.io/serviceaccount/"

// podToken is the token of the pod's service account. The variable may have the
// token itself, or a file.
func podToken(file string, getenv func(string) string) (string, error) {
	if file == "" {
		switch named := getenv("K8S_SERVICEACCOUNT_TOKEN"); {
		case strings.HasPrefix(named, "/"):
			file = named
		case named != "":
			return named, nil
		default:
			file = podFolder + "token"
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("the token of the Kubernetes service account: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// TokenFile sends the token that a file has, which is read again at every call, as
// a bearer.
func TokenFile(path string) Source { return tokenFile(path) }

type tokenFile string

func (f tokenFile) Authorization(context.Context) (string, error) {
	text, err := os.ReadFile(string(f))
	if err != nil {
		return "", fmt.Errorf("the file of the token: %w", err)
	}
	return "Bearer " + strings.TrimSpace(string(text)), nil
}

func (tokenFile) Close() error { return nil }

// serviceAccount sends the token of the pod's service account, with the cluster's
// authority, as servers of 2026 want it.
type serviceAccount struct {
	config KubernetesNativeAuth
	getenv func(string) string
}

func (s serviceAccount) Authorization(context.Context) (string, error) {
	token, err := podToken(s.config.TokenFile, s.getenv)
	if err != nil {
		return "", err
	}
	authority, err := os.ReadFile(podFolder + "ca.crt")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	text, err := json.Marshal(map[string]string{"token": token, "ca": base64.StdEncoding.EncodeToString(authority)})
	if err != nil {
		return "", err
	}
	return "KubernetesAuth " + base64.StdEncoding.EncodeToString(text), nil
}

func (serviceAccount) Close() error { return nil }

// host is the host of an address; where there is none, the address.
func host(address string) string {
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return name
}

// early is how long before its end a token is replaced.
const early = 20 * time.Second

// expiryOf is when a JWT ends, as it says itself; the zero time for other tokens.
func expiryOf(token string) time.Time {
	var claims struct {
		Expiry float64 `json:"exp"`
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(text, &claims) != nil || claims.Expiry == 0 {
		return time.Time{}
	}
	return time.Unix(int64(claims.Expiry), 0)
}

// held is a token that is used until it ends.
type held struct {
	mu    sync.Mutex
	token string
	until time.Time
}

// get returns the token, or what fetch brings when it is about to end.
func (h *held) get(fetch func() (token string, until time.Time, err error)) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.token != "" && time.Now().Before(h.until) {
		return h.token, nil
	}
	token, until, err := fetch()
	if err != nil {
		return "", err
	}
	h.token, h.until = token, until.Add(-early)
	return token, nil
}
