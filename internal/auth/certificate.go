package auth

import (
	"crypto/x509"
	"errors"
	"fmt"
)

// Certificates sets how client certificates name users. Which authorities are
// trusted is set where TLS is, with the server.
type Certificates struct {
	// Enabled takes client certificates.
	Enabled bool
	// Username is where the name of the user stands: commonName (the default),
	// email, dns or uri, of which the first counts.
	Username string
	// Prefix is put before the name.
	Prefix string
	// Groups are the organisations and organisational units of the subject: O, OU,
	// or both; the default is O, as in Kubernetes.
	Groups []string
}

// Validate tells everything that is wrong.
func (c Certificates) Validate() error {
	var errs []error
	switch c.Username {
	case "", "commonName", "email", "dns", "uri":
	default:
		errs = append(errs, fmt.Errorf("username: must be commonName, email, dns or uri, is %q", c.Username))
	}
	for _, g := range c.Groups {
		if g != "O" && g != "OU" {
			errs = append(errs, fmt.Errorf("groups: must be of O and OU, has %q", g))
		}
	}
	return errors.Join(errs...)
}

// certificates is the method. The connection has verified them.
type certificates struct{ config Certificates }

func (c *certificates) authenticate(shownOne *x509.Certificate) (Principal, error) {
	p := Principal{Method: MethodCertificate}
	name := ""
	switch c.config.Username {
	case "email":
		name = first(shownOne.EmailAddresses)
	case "dns":
		name = first(shownOne.DNSNames)
	case "uri":
		if len(shownOne.URIs) > 0 {
			name = shownOne.URIs[0].String()
		}
	default:
		name = shownOne.Subject.CommonName
	}
	if name == "" {
		return p, refused("clientCertificate: the certificate has no %s that names the user", c.config.Username)
	}
	p.Name = c.config.Prefix + name
	from := c.config.Groups
	if len(from) == 0 {
		from = []string{"O"}
	}
	for _, where := range from {
		if where == "OU" {
			p.Groups = append(p.Groups, shownOne.Subject.OrganizationalUnit...)
		} else {
			p.Groups = append(p.Groups, shownOne.Subject.Organization...)
		}
	}
	return p, nil
}

func first(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return all[0]
}
