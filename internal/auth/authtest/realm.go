package authtest

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/iana/nametype"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/spnego"
	"github.com/jcmturner/gokrb5/v8/types"
)

// Realm is a Kerberos realm that gives tickets to whomever a test wants.
type Realm struct {
	Name    string
	Service string // that tickets are for
	Keytab  string // the file with the service's key

	t    testing.TB
	keys *keytab.Keytab
}

// NewRealm makes a realm.
func NewRealm(t testing.TB) *Realm {
	t.Helper()
	r := &Realm{Name: "TEST.ARMADA", Service: "HTTP/localhost", Keytab: filepath.Join(t.TempDir(), "keytab"), t: t, keys: keytab.New()}
	if err := r.keys.AddEntry(r.Service, r.Name, "a key of the service", time.Now(), 1, etypeID.AES256_CTS_HMAC_SHA1_96); err != nil {
		t.Fatal(err)
	}
	text, err := r.keys.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.Keytab, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

// Ticket is what a user says to the service, in base64. Its validity begins now and
// lasts for the time given.
func (r *Realm) Ticket(user string, life time.Duration) string { return r.TicketOf(user, r.Name, life) }

// TicketOf is a ticket of a user of another realm.
func (r *Realm) TicketOf(user, realm string, life time.Duration) string {
	r.t.Helper()
	caller := client.NewWithPassword(user, realm, "", config.New())
	now := time.Now().UTC()
	service, _ := types.ParseSPNString(r.Service)
	began := now
	if life < 0 {
		began = now.Add(2 * life)
	}
	ticket, key, err := messages.NewTicket(types.NewPrincipalName(nametype.KRB_NT_PRINCIPAL, user), realm, service, r.Name, asn1.BitString{Bytes: make([]byte, 4), BitLength: 32},
		r.keys, etypeID.AES256_CTS_HMAC_SHA1_96, 1, began, began, now.Add(life), now.Add(life))
	if err != nil {
		r.t.Fatal(err)
	}
	token, err := spnego.NewNegTokenInitKRB5(caller, ticket, key)
	if err != nil {
		r.t.Fatal(err)
	}
	text, err := (&spnego.SPNEGOToken{Init: true, NegTokenInit: token}).Marshal()
	if err != nil {
		r.t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(text)
}
