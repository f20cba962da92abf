package auth

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"armada/internal/settings"
)

// Basic sets names and passwords.
type Basic struct {
	// Users are the users by name: {alice: {password: $2y$10$…, groups: [team-a]}}.
	Users map[string]User
	// HtpasswdFile has more users, a line name:hash each, as htpasswd -B writes
	// them. It is read again when it has changed.
	HtpasswdFile string
}

// User is a user with a password.
type User struct {
	// Password is a hash of the password, by bcrypt ($2y$…) or argon2id
	// ($argon2id$…), or the password itself, which is less safe.
	Password settings.Secret
	// Groups are the groups of the user.
	Groups []string
}

// IsSet tells whether anybody may log in by a password.
func (b Basic) IsSet() bool { return len(b.Users) > 0 || b.HtpasswdFile != "" }

// Validate tells everything that is wrong.
func (b Basic) Validate() error {
	var errs []error
	for name, user := range b.Users {
		if name == "" || strings.ContainsRune(name, ':') {
			errs = append(errs, fmt.Errorf("users: the name %q must not be empty and must not contain a colon", name))
		}
		if user.Password.IsEmpty() {
			errs = append(errs, fmt.Errorf("users.%s.password: must not be empty", name))
		} else if _, err := parsePassword(user.Password.Reveal()); err != nil {
			errs = append(errs, fmt.Errorf("users.%s.password: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// password is what a password is compared with.
type password interface{ matches(given []byte) bool }

type bcryptHash []byte

func (h bcryptHash) matches(given []byte) bool { return bcrypt.CompareHashAndPassword(h, given) == nil }

type argonHash struct {
	time, memory uint32
	threads      uint8
	salt, key    []byte
}

func (h argonHash) matches(given []byte) bool {
	key := argon2.IDKey(given, h.salt, h.time, h.memory, h.threads, uint32(len(h.key)))
	return subtle.ConstantTimeCompare(key, h.key) == 1
}

// plain compares digests, so that the time tells nothing of the length either.
type plain [sha256.Size]byte

func (p plain) matches(given []byte) bool {
	sum := sha256.Sum256(given)
	return subtle.ConstantTimeCompare(sum[:], p[:]) == 1
}

// parsePassword reads a hash, and takes what begins like none as the password.
func parsePassword(text string) (password, error) {
	switch {
	case strings.HasPrefix(text, "$2"):
		if _, err := bcrypt.Cost([]byte(text)); err != nil {
			return nil, errors.New("begins like a hash of bcrypt and is none")
		}
		return bcryptHash(text), nil
	case strings.HasPrefix(text, "$argon2id$"):
		return parseArgon(text)
	case strings.HasPrefix(text, "$"), strings.HasPrefix(text, "{SHA}"):
		return nil, errors.New("is a hash of a kind that is not taken; take bcrypt (htpasswd -B) or argon2id")
	}
	return plain(sha256.Sum256([]byte(text))), nil
}

func parseArgon(text string) (password, error) {
	var version int
	var h argonHash
	parts := strings.Split(text, "$") // "", argon2id, v=19, m=65536,t=3,p=4, salt, key
	wrong := errors.New("must be of the form $argon2id$v=19$m=65536,t=3,p=4$SALT$KEY")
	if len(parts) != 6 {
		return nil, wrong
	}
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return nil, wrong
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.threads); err != nil {
		return nil, wrong
	}
	if h.memory > 1<<20 || h.time == 0 || h.time > 64 || h.threads == 0 {
		return nil, errors.New("must have m up to 1048576 (1 GiB), t from 1 to 64 and p from 1")
	}
	var err, err2 error
	h.salt, err = base64.RawStdEncoding.DecodeString(parts[4])
	h.key, err2 = base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || err2 != nil || len(h.key) < 16 || len(h.key) > 64 {
		return nil, wrong
	}
	return h, nil
}

// basic is the method.
type basic struct {
	users   map[string]password
	groups  map[string][]string
	file    *watched[map[string]password] // may be nil
	nobody  password                      // compared with when there is no such user, to take as long
	guesses *guesses
	hashing chan struct{} // how many hashes are computed at once

	// Hashes are made to be slow, and every call brings its password anew. Those
	// that were right lately are known by a keyed digest.
	key  [32]byte
	mu   sync.Mutex
	seen map[[sha256.Size]byte]time.Time // until when they are known
	now  func() time.Time
}

// How long a password is known that was right, and how many are.
const (
	knownFor  = time.Minute
	knownMost = 10_000
)

func newBasic(config Basic, now func() time.Time) (*basic, error) {
	b := &basic{
		users: map[string]password{}, groups: map[string][]string{}, guesses: newGuesses(now),
		hashing: make(chan struct{}, 2), seen: map[[sha256.Size]byte]time.Time{}, now: now,
	}
	if _, err := rand.Read(b.key[:]); err != nil {
		return nil, err
	}
	for name, user := range config.Users {
		known, err := parsePassword(user.Password.Reveal())
		if err != nil {
			return nil, fmt.Errorf("users.%s.password: %w", name, err)
		}
		b.users[name], b.groups[name] = known, user.Groups
		if _, plainly := known.(plain); !plainly {
			b.nobody = known
		}
	}
	if config.HtpasswdFile != "" {
		b.file = &watched[map[string]password]{path: config.HtpasswdFile, parse: parseHtpasswd, now: now}
		users, err := b.file.get()
		if err != nil {
			return nil, fmt.Errorf("htpasswdFile: %w", err)
		}
		for _, known := range users {
			b.nobody = known
		}
	}
	if b.nobody == nil {
		b.nobody = plain{}
	}
	return b, nil
}

// plainUsers are those whose password stands in the config as it is.
func (b *basic) plainUsers() []string {
	var names []string
	for name, known := range b.users {
		if _, plainly := known.(plain); plainly {
			names = append(names, name)
		}
	}
	return names
}

// wrongPassword says the same whatever was wrong.
const wrongPassword = "basic: there is no such user, or the password is wrong"

func (b *basic) authenticate(ctx context.Context, given, from string) (Principal, error) {
	pair, err := base64.StdEncoding.DecodeString(given)
	if err != nil {
		if pair, err = base64.RawStdEncoding.DecodeString(given); err != nil {
			return Principal{}, refused("basic: what follows the scheme must be name:password in base64")
		}
	}
	name, word, found := bytes.Cut(pair, []byte(":"))
	if !found {
		return Principal{}, refused("basic: what follows the scheme must be name:password in base64; there is no colon in it")
	}
	p := Principal{Name: string(name), Groups: b.groups[string(name)], Method: MethodBasic}
	known, there, err := b.passwordOf(p.Name)
	if err != nil {
		return Principal{}, err
	}
	digest := b.digest(pair, known)
	if there && b.lately(digest) {
		return p, nil
	}
	if wait := b.guesses.wait(p.Name, from); wait > 0 {
		return Principal{}, refused("basic: too many wrong passwords of this user; try again in %s", wait.Round(time.Second)+time.Second)
	}
	select {
	case b.hashing <- struct{}{}:
	case <-ctx.Done():
		return Principal{}, ctx.Err()
	}
	right := known.matches(word)
	<-b.hashing
	if !there || !right {
		b.guesses.wrong(p.Name, from)
		return Principal{}, refused(wrongPassword)
	}
	b.guesses.right(p.Name, from)
	b.remember(digest)
	return p, nil
}

// passwordOf returns what a user's password is compared with, and whether there
// is such a user.
func (b *basic) passwordOf(name string) (password, bool, error) {
	if known, there := b.users[name]; there {
		return known, true, nil
	}
	if b.file != nil {
		users, err := b.file.get()
		if err != nil {
			return nil, false, unknowable("basic: the file of users cannot be read at the moment")
		}
		if known, there := users[name]; there {
			return known, true, nil
		}
	}
	return b.nobody, false, nil
}

// digest stands for a name and a password and what they were compared with: when
// the password is changed, the old one is not known any more.
func (b *basic) digest(pair []byte, known password) [sha256.Size]byte {
	mac := hmac.New(sha256.New, b.key[:])
	fmt.Fprintf(mac, "%d %s %v", len(pair), pair, known)
	return [sha256.Size]byte(mac.Sum(nil))
}

func (b *basic) lately(digest [sha256.Size]byte) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now().Before(b.seen[digest])
}

func (b *basic) remember(digest [sha256.Size]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if len(b.seen) >= knownMost {
		for each, until := range b.seen {
			if len(b.seen) >= knownMost/2 || !now.Before(until) {
				delete(b.seen, each)
			}
		}
	}
	b.seen[digest] = now.Add(knownFor)
}

// parseHtpasswd reads a file of users.
func parseHtpasswd(text []byte) (map[string]password, error) {
	users := map[string]password{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, hash, found := strings.Cut(line, ":")
		if !found || name == "" {
			return nil, fmt.Errorf("line %d: must be name:hash", n)
		}
		known, err := parsePassword(hash)
		if err != nil {
			return nil, fmt.Errorf("line %d: the password of %s %w", n, name, err)
		}
		if _, plainly := known.(plain); plainly {
			return nil, fmt.Errorf("line %d: the password of %s must be a hash by bcrypt (htpasswd -B) or argon2id", n, name)
		}
		users[name] = known
	}
	return users, lines.Err()
}
