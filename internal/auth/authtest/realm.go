package authtest

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/gssapi"
	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/iana/flags"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
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
	caller, ticket, key := r.issue(user, realm, life)
	token, err := spnego.NewNegTokenInitKRB5(caller, ticket, key)
	if err != nil {
		r.t.Fatal(err)
	}
	text, err := encode(token)
	if err != nil {
		r.t.Fatal(err)
	}
	return text
}

// Mutual is a ticket whose user wants the service to prove who it is too, and what
// the user says to the answer: an error when it proves nothing.
func (r *Realm) Mutual(user string) (ticket string, check func(answer string) error) {
	r.t.Helper()
	ticket, check, err := Mutual(r.issue(user, r.Name, time.Hour))
	if err != nil {
		r.t.Fatal(err)
	}
	return ticket, check
}

// Mutual is Realm.Mutual with a ticket of any realm, and the key that goes with it.
func Mutual(caller *client.Client, ticket messages.Ticket, key types.EncryptionKey) (said string, check func(answer string) error, err error) {
	asks, err := spnego.NewKRB5TokenAPREQ(caller, ticket, key, []int{gssapi.ContextFlagMutual}, []int{flags.APOptionMutualRequired})
	if err != nil {
		return "", nil, err
	}
	inner, err := asks.Marshal()
	if err != nil {
		return "", nil, err
	}
	if err := asks.APReq.DecryptAuthenticator(key); err != nil {
		return "", nil, err
	}
	said, err = encode(spnego.NegTokenInit{MechTypes: []asn1.ObjectIdentifier{gssapi.OIDKRB5.OID()}, MechTokenBytes: inner})
	return said, func(answer string) error { return proves(answer, key, asks.APReq.Authenticator) }, err
}

// proves tells why an answer does not prove that the service could read what was
// said to it.
func proves(answer string, key types.EncryptionKey, said types.Authenticator) error {
	text, err := base64.StdEncoding.DecodeString(answer)
	if err != nil {
		return err
	}
	var response spnego.NegTokenResp
	if err := response.Unmarshal(text); err != nil {
		return err
	}
	var token spnego.KRB5Token
	if err := token.Unmarshal(response.ResponseToken); err != nil || !token.IsAPRep() {
		return fmt.Errorf("there is no proof in the answer: %w", err)
	}
	sealed, err := crypto.DecryptEncPart(token.APRep.EncPart, key, keyusage.AP_REP_ENCPART)
	if err != nil {
		return err
	}
	var proof messages.EncAPRepPart
	if err := proof.Unmarshal(sealed); err != nil {
		return err
	}
	if !proof.CTime.Equal(said.CTime) || proof.Cusec != said.Cusec {
		return fmt.Errorf("the proof is about %s, not about %s", proof.CTime, said.CTime)
	}
	return nil
}

func encode(token spnego.NegTokenInit) (string, error) {
	text, err := (&spnego.SPNEGOToken{Init: true, NegTokenInit: token}).Marshal()
	return base64.StdEncoding.EncodeToString(text), err
}

// issue is what the realm gives to a user: a ticket and the key that is in it.
func (r *Realm) issue(user, realm string, life time.Duration) (*client.Client, messages.Ticket, types.EncryptionKey) {
	r.t.Helper()
	now := time.Now().UTC()
	began := now
	if life < 0 {
		began = now.Add(2 * life)
	}
	service, _ := types.ParseSPNString(r.Service)
	ticket, key, err := messages.NewTicket(types.NewPrincipalName(nametype.KRB_NT_PRINCIPAL, user), realm, service, r.Name, asn1.BitString{Bytes: make([]byte, 4), BitLength: 32},
		r.keys, etypeID.AES256_CTS_HMAC_SHA1_96, 1, began, began, now.Add(life), now.Add(life))
	if err != nil {
		r.t.Fatal(err)
	}
	return client.NewWithPassword(user, realm, "", config.New()), ticket, key
}
