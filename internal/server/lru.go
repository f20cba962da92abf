package server

import (
	"container/list"
	"sync"
)

// lru remembers the values used last, as many as fit into a number of bytes. It
// may be used by many goroutines; values are shared.
type lru[K comparable, V any] struct {
	most int

	mu     sync.Mutex
	known  map[K]*list.Element // of entry[K, V]
	recent *list.List          // latest first
	bytes  int
}

type entry[K comparable, V any] struct {
	key   K
	value V
	size  int
}

// entryOverhead is about what an entry takes beside its value, in bytes.
const entryOverhead = 512

func newLRU[K comparable, V any](bytes int) *lru[K, V] {
	return &lru[K, V]{most: bytes, known: make(map[K]*list.Element), recent: list.New()}
}

func (l *lru[K, V]) get(key K) (V, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.known[key]
	if !ok {
		var none V
		return none, false
	}
	l.recent.MoveToFront(e)
	return e.Value.(*entry[K, V]).value, true //nolint:forcetypeassert // the list holds nothing else
}

// put remembers a value of about so many bytes; one that is known stays.
func (l *lru[K, V]) put(key K, value V, size int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, twice := l.known[key]; twice {
		return
	}
	size += entryOverhead
	l.known[key] = l.recent.PushFront(&entry[K, V]{key: key, value: value, size: size})
	for l.bytes += size; l.bytes > l.most && l.recent.Len() > 1; {
		oldest := l.recent.Remove(l.recent.Back()).(*entry[K, V]) //nolint:forcetypeassert // the list holds nothing else
		delete(l.known, oldest.key)
		l.bytes -= oldest.size
	}
}
