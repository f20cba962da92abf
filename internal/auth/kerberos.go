package auth

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/asn1tools"
	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/gssapi"
	"github.com/jcmturner/gokrb5/v8/iana/asnAppTag"
	"github.com/jcmturner/gokrb5/v8/iana/flags"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/iana/msgtype"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/spnego"
	"github.com/jcmturner/gokrb5/v8/types"
)

// Kerberos sets how tickets are taken.
type Kerberos struct {
	// KeytabLocation is the file with the keys of the service.
	KeytabLocation string
	// PrincipalName is the service that tickets must be for, HTTP/host or
	// HTTP/host@REALM; empty is any that the keytab has a key of.
	PrincipalName string
	// UserNameSuffix is put behind the name of every user, and GroupNameSuffix behind
	// every group of the ticket.
	UserNameSuffix  string
	GroupNameSuffix string
	// Realms are other realms whose users are taken, as name@REALM. Users of the
	// service's own realm are called by their name alone.
	Realms []string
	// ReadGroups takes the groups that Active Directory puts into tickets, by their
	// SIDs; GroupNames gives those SIDs names.
	ReadGroups bool
	GroupNames map[string]string
	// ClockSkew is by how much the clocks of callers and the server may differ; 0
	// means 5 minutes.
	ClockSkew time.Duration
}

// IsSet tells whether tickets are taken.
func (k Kerberos) IsSet() bool { return k.KeytabLocation != "" }

// Validate tells everything that is wrong.
func (k Kerberos) Validate() error {
	if !k.IsSet() && (k.PrincipalName != "" || len(k.Realms) > 0) {
		return errors.New("keytabLocation: must name the file with the service's keys")
	}
	if k.ClockSkew < 0 || k.ClockSkew > time.Hour {
		return fmt.Errorf("clockSkew: must be from 0, for 5m, to 1h, is %s", k.ClockSkew)
	}
	return nil
}

// kerberos is the method.
type kerberos struct {
	config Kerberos
	keys   *watched[*keytab.Keytab]
	now    func() time.Time
	skew   time.Duration

	mu    sync.Mutex
	seen  map[[sha256.Size]byte]time.Time // proofs that were shown, until they are too old
	swept time.Time
}

func newKerberos(config Kerberos, now func() time.Time) (*kerberos, error) {
	k := &kerberos{config: config, now: now, skew: config.ClockSkew, seen: map[[sha256.Size]byte]time.Time{}}
	if k.skew == 0 {
		k.skew = 5 * time.Minute
	}
	k.keys = &watched[*keytab.Keytab]{path: config.KeytabLocation, now: now, parse: func(text []byte) (*keytab.Keytab, error) {
		keys := keytab.New()
		if err := keys.Unmarshal(text); err != nil {
			return nil, err
		}
		if len(keys.Entries) == 0 {
			return nil, errors.New("there is no key in it")
		}
		return keys, nil
	}}
	if _, err := k.keys.get(); err != nil {
		return nil, fmt.Errorf("keytabLocation: %w", err)
	}
	return k, nil
}

// authenticate examines what follows the scheme. Reading such messages is the
// library's work; if one makes it panic, the message was wrong.
func (k *kerberos) authenticate(given string) (p Principal, err error) {
	defer func() {
		if recover() != nil {
			p, err = Principal{}, refused("kerberos: what follows the scheme cannot be read")
		}
	}()
	message, err := base64.StdEncoding.DecodeString(given)
	if err != nil || len(message) == 0 {
		return Principal{}, refused("kerberos: what follows the scheme must be a message of SPNEGO in base64")
	}
	request, err := ticketIn(message)
	if err != nil {
		return Principal{}, err
	}
	keys, err := k.keys.get()
	if err != nil {
		return Principal{}, unknowable("kerberos: the keys of the service cannot be read at the moment")
	}
	service := request.Ticket.SName.PrincipalNameString()
	if wanted, realm, _ := strings.Cut(k.config.PrincipalName, "@"); wanted != "" && (service != wanted || realm != "" && realm != request.Ticket.Realm) {
		return Principal{}, refused("kerberos: the ticket is for %s, not for %s", shown(service+"@"+request.Ticket.Realm), k.config.PrincipalName)
	}
	ok, err := request.Verify(keys, k.skew, types.HostAddress{}, nil)
	if err != nil {
		return Principal{}, refused("kerberos: the ticket for %s is not taken: %v", shown(service+"@"+request.Ticket.Realm), err)
	}
	if !ok {
		return Principal{}, refused("kerberos: the ticket for %s is not valid now", shown(service+"@"+request.Ticket.Realm))
	}
	if k.replayed(request) {
		return Principal{}, refused("kerberos: the message was shown before; every call needs one of its own")
	}
	if p, err = k.principal(request, keys); err != nil {
		return Principal{}, err
	}
	p.Answer, err = answer(request)
	if err != nil {
		return Principal{}, fmt.Errorf("make the answer to a ticket: %w", err)
	}
	return p, nil
}

// ticketIn finds the request in a message of SPNEGO, or of Kerberos alone.
func ticketIn(message []byte) (*messages.APReq, error) {
	inner := message
	var negotiation spnego.SPNEGOToken
	if negotiation.Unmarshal(message) == nil {
		if !negotiation.Init {
			return nil, refused("kerberos: the message is not the first one of a negotiation")
		}
		if !slices.ContainsFunc(negotiation.NegTokenInit.MechTypes, func(o asn1.ObjectIdentifier) bool {
			return o.Equal(gssapi.OIDKRB5.OID()) || o.Equal(gssapi.OIDMSLegacyKRB5.OID())
		}) {
			return nil, refused("kerberos: the caller does not offer Kerberos, but something else such as NTLM")
		}
		inner = negotiation.NegTokenInit.MechTokenBytes
	}
	var token spnego.KRB5Token
	if err := token.Unmarshal(inner); err != nil || !token.IsAPReq() {
		return nil, refused("kerberos: there is no ticket in the message")
	}
	return &token.APReq, nil
}

// replayed tells whether a proof was shown before. It is remembered for as long as
// its time would be taken. The library's own memory is shared by all who use it in
// a process and forgets too early what comes from a clock that is ahead.
func (k *kerberos) replayed(request *messages.APReq) bool {
	key, now := sha256.Sum256(request.EncryptedAuthenticator.Cipher), k.now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, there := k.seen[key]; there {
		return true
	}
	if now.Sub(k.swept) > time.Minute {
		for each, until := range k.seen {
			if now.After(until) {
				delete(k.seen, each)
			}
		}
		k.swept = now
	}
	k.seen[key] = request.Authenticator.CTime.Add(k.skew + time.Minute)
	return false
}

// principal tells who a ticket is of. The realm is the ticket's: what the caller
// says beside it, nobody has verified.
func (k *kerberos) principal(request *messages.APReq, keys *keytab.Keytab) (Principal, error) {
	inside := request.Ticket.DecryptedEncPart
	p := Principal{Name: inside.CName.PrincipalNameString(), Method: MethodKerberos}
	if inside.CRealm != request.Ticket.Realm {
		if !slices.Contains(k.config.Realms, inside.CRealm) {
			return Principal{}, refused("kerberos: users of the realm %s are not taken", shown(inside.CRealm))
		}
		p.Name += "@" + inside.CRealm
	}
	p.Name += k.config.UserNameSuffix
	if !k.config.ReadGroups {
		return p, nil
	}
	there, data, err := request.Ticket.GetPACType(keys, nil, nil)
	if err != nil {
		return Principal{}, refused("kerberos: the groups in the ticket cannot be read: %v", err)
	}
	if !there || data.KerbValidationInfo == nil {
		return p, nil
	}
	for _, sid := range data.KerbValidationInfo.GetGroupMembershipSIDs() {
		name := sid
		if known := k.config.GroupNames[sid]; known != "" {
			name = known
		}
		p.Groups = append(p.Groups, name+k.config.GroupNameSuffix)
	}
	return p, nil
}

// answer is what the server says to a ticket that it took; when the caller asked
// for it, with the proof that the server could read the ticket (RFC 4120, 3.2.4).
func answer(request *messages.APReq) (string, error) {
	response := spnego.NegTokenResp{NegState: asn1.Enumerated(spnego.NegStateAcceptCompleted), SupportedMech: gssapi.OIDKRB5.OID()}
	if types.IsFlagSet(&request.APOptions, flags.APOptionMutualRequired) {
		var err error
		if response.ResponseToken, err = proof(request); err != nil {
			return "", err
		}
	}
	text, err := response.Marshal()
	if err != nil {
		return "", err
	}
	return "Negotiate " + base64.StdEncoding.EncodeToString(text), nil
}

// proof is the reply of RFC 4120, 5.5.2, framed as RFC 4121, 4.1 says.
func proof(request *messages.APReq) ([]byte, error) {
	inside, err := asn1.Marshal(messages.EncAPRepPart{CTime: request.Authenticator.CTime.UTC(), Cusec: request.Authenticator.Cusec, SequenceNumber: request.Authenticator.SeqNumber})
	if err != nil {
		return nil, err
	}
	sealed, err := crypto.GetEncryptedData(asn1tools.AddASNAppTag(inside, asnAppTag.EncAPRepPart), request.Ticket.DecryptedEncPart.Key, keyusage.AP_REP_ENCPART, 0)
	if err != nil {
		return nil, err
	}
	reply, err := asn1.Marshal(messages.APRep{PVNO: 5, MsgType: msgtype.KRB_AP_REP, EncPart: sealed})
	if err != nil {
		return nil, err
	}
	framed, err := asn1.Marshal(gssapi.OIDKRB5.OID())
	if err != nil {
		return nil, err
	}
	framed = append(framed, 2, 0)
	return asn1tools.AddASNAppTag(append(framed, asn1tools.AddASNAppTag(reply, asnAppTag.APREP)...), 0), nil
}
