package auth

import (
	"os"
	"sync"
	"time"
)

// watched is a file that is read again when it has changed, which is looked for
// once in a second.
type watched[T any] struct {
	path  string
	parse func([]byte) (T, error)
	now   func() time.Time

	mu      sync.Mutex
	read    bool
	looked  time.Time // when the file was looked at
	changed time.Time // when it was changed
	size    int64
	value   T
}

// get returns what is in the file. A change that cannot be read is an error.
func (w *watched[T]) get() (T, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	if w.read && now.Sub(w.looked) < time.Second {
		return w.value, nil
	}
	var none T
	info, err := os.Stat(w.path)
	if err != nil {
		return none, err
	}
	if !w.read || !info.ModTime().Equal(w.changed) || info.Size() != w.size {
		text, err := os.ReadFile(w.path)
		if err != nil {
			return none, err
		}
		if w.value, err = w.parse(text); err != nil {
			w.read = false
			return none, err
		}
		w.read, w.changed, w.size = true, info.ModTime(), info.Size()
	}
	w.looked = now
	return w.value, nil
}
