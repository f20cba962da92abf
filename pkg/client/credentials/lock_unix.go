//go:build unix

package credentials

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"
)

// lockInterval is how often a lock that another program has is tried.
const lockInterval = 20 * time.Millisecond

// lock waits until no other program holds the lock of a login, and holds it until
// unlock is called or the program ends.
func (c *Cache) lock(ctx context.Context, way string, o *OpenIDAuth) (unlock func(), err error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(c.path(way, o)+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(lockInterval)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(err, file.Close())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), file.Close())
		}
	}
}
