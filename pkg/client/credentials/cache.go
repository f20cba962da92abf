package credentials

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Cache keeps logins in a folder that only its owner can look into: a file for
// each provider, client and set of scopes.
type Cache struct{ Dir string }

// DefaultCache is the folder armada/logins where the user's caches are.
func DefaultCache() (*Cache, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("find the folder of caches: %w", err)
	}
	return &Cache{Dir: filepath.Join(dir, "armada", "logins")}, nil
}

// kept is what a file has.
type kept struct {
	AccessToken  string `json:"accessToken,omitempty"`
	IDToken      string `json:"idToken,omitempty"`
	RefreshToken string `json:"refreshToken,omitempty"`
}

func (c *Cache) path(way string, o *OpenIDAuth) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{way, o.ProviderURL, o.ClientID, strings.Join(o.Scopes, " ")}, "\n")))
	return filepath.Join(c.Dir, hex.EncodeToString(sum[:16])+".json")
}

// load returns what is kept; the zero value when there is nothing. A file that
// others can read is refused.
func (c *Cache) load(way string, o *OpenIDAuth) (kept, error) {
	var k kept
	path := c.path(way, o)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err != nil {
		return k, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return k, fmt.Errorf("%s has a login in it and can be read by others; chmod 600 it, or delete it and log in again", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return k, err
	}
	if json.Unmarshal(text, &k) != nil {
		return kept{}, nil // what cannot be read is as good as nothing: there will be a new login
	}
	return k, nil
}

// save keeps a login.
func (c *Cache) save(way string, o *OpenIDAuth, k kept) error {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	text, err := json.Marshal(k)
	if err != nil {
		return err
	}
	beside, err := os.CreateTemp(c.Dir, "*.tmp") // with mode 600
	if err != nil {
		return err
	}
	defer os.Remove(beside.Name()) // fails when all went well: it has its new name then
	_, err = beside.Write(text)
	if closing := beside.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	return os.Rename(beside.Name(), c.path(way, o))
}

// forget deletes a login, and tells whether there was one.
func (c *Cache) forget(way string, o *OpenIDAuth) (bool, error) {
	err := os.Remove(c.path(way, o))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
