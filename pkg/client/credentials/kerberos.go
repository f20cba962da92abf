package credentials

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/credentials"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/spnego"
)

// kerberos sends a ticket, and with each call a new proof that it is the caller's.
type kerberos struct {
	auth    KerberosAuth
	service string
	getenv  func(string) string

	mu      sync.Mutex
	session *client.Client
	changed time.Time // when the session's file was
}

func newKerberos(auth KerberosAuth, o Options) (*kerberos, error) {
	k := &kerberos{auth: auth, service: auth.Service, getenv: o.Getenv}
	if k.service == "" {
		name := host(o.Server)
		if name == "" {
			return nil, errors.New("kerberosAuth.service: is missing, and the server's address names no host")
		}
		k.service = "HTTP/" + name
	}
	return k, nil
}

func (k *kerberos) Authorization(context.Context) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.login(); err != nil {
		return "", fmt.Errorf("kerberosAuth: %w", err)
	}
	mechanism := spnego.SPNEGOClient(k.session, k.service)
	if err := mechanism.AcquireCred(); err != nil {
		return "", fmt.Errorf("kerberosAuth: there is no ticket; kinit gets one: %w", err)
	}
	token, err := mechanism.InitSecContext()
	if err != nil {
		return "", fmt.Errorf("kerberosAuth: no ticket for the service %s: %w", k.service, err)
	}
	text, err := token.Marshal()
	if err != nil {
		return "", fmt.Errorf("kerberosAuth: %w", err)
	}
	return "Negotiate " + base64.StdEncoding.EncodeToString(text), nil
}

// login makes a session, again when kinit has been there.
func (k *kerberos) login() error {
	file := k.auth.Keytab
	if file == "" {
		var err error
		if file, err = k.cacheFile(); err != nil {
			return err
		}
	}
	info, err := os.Stat(file)
	if err != nil {
		return fmt.Errorf("there is no ticket; kinit gets one: %w", err)
	}
	if k.session != nil && info.ModTime().Equal(k.changed) {
		return nil
	}
	realms, err := k.realms()
	if err != nil {
		return err
	}
	if k.session != nil {
		k.session.Destroy()
		k.session = nil
	}
	if k.auth.Keytab != "" {
		keys, err := keytab.Load(file)
		if err != nil {
			return fmt.Errorf("keytab: %w", err)
		}
		name, realm, _ := strings.Cut(k.auth.Principal, "@")
		k.session = client.NewWithKeytab(name, realm, keys, realms, client.DisablePAFXFAST(true))
	} else {
		tickets, err := credentials.LoadCCache(file)
		if err != nil {
			return fmt.Errorf("the tickets in %s cannot be read: %w", file, err)
		}
		if k.session, err = client.NewFromCCache(tickets, realms, client.DisablePAFXFAST(true)); err != nil {
			return fmt.Errorf("there is no ticket in %s; kinit gets one: %w", file, err)
		}
	}
	k.changed = info.ModTime()
	return nil
}

// cacheFile is where the tickets of the caller's session are.
func (k *kerberos) cacheFile() (string, error) {
	named := k.getenv("KRB5CCNAME")
	kind, path, found := strings.Cut(named, ":")
	switch {
	case named == "":
		return fmt.Sprintf("/tmp/krb5cc_%d", os.Getuid()), nil
	case !found || strings.HasPrefix(named, "/"):
		return named, nil
	case kind == "FILE":
		return path, nil
	}
	return "", fmt.Errorf("tickets are read from files only, and KRB5CCNAME names a place of the kind %s; set it to FILE:… before kinit, or use keytab and principal", kind)
}

// realms reads how realms are reached.
func (k *kerberos) realms() (*config.Config, error) {
	path := "/etc/krb5.conf"
	if named := k.getenv("KRB5_CONFIG"); named != "" {
		path = named
	}
	c, err := config.Load(path)
	var some config.UnsupportedDirective
	if err != nil && !errors.As(err, &some) {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func (k *kerberos) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.session != nil {
		k.session.Destroy()
		k.session = nil
	}
	return nil
}
