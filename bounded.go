package damrey

import (
	"sync"
	"sync/atomic"

	"github.com/damrey/damrey/internal/report"
)

// bounded keeps one V for each of the first [report.MaxRoutes] keys, and one for
// all others together. Finding one that is known takes no lock.
type bounded[K comparable, V any] struct {
	known atomic.Pointer[map[K]*V] // replaced, never changed
	mu    sync.Mutex               // guards what follows, and replacing known
	order []*V                     // as they came
	other *V
}

func newBounded[K comparable, V any](other *V) *bounded[K, V] {
	b := &bounded[K, V]{other: other}
	b.known.Store(new(map[K]*V))
	return b
}

// find gives nil for a key that is not known.
func (b *bounded[K, V]) find(key K) *V { return (*b.known.Load())[key] }

func (b *bounded[K, V]) isFull() bool { return len(*b.known.Load()) >= report.MaxRoutes }

// add gives the V of a key, which it makes when there is none and room.
func (b *bounded[K, V]) add(key K, v *V) *V {
	if b.isFull() {
		return b.other
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if there := b.find(key); there != nil {
		return there
	}
	if b.isFull() {
		return b.other
	}
	old := *b.known.Load()
	more := make(map[K]*V, len(old)+1)
	for k, v := range old {
		more[k] = v
	}
	more[key] = v
	b.known.Store(&more)
	b.order = append(b.order, v)
	return v
}

// all are those that are told apart, as they came, and then the others'.
func (b *bounded[K, V]) all() []*V {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append(b.order[:len(b.order):len(b.order)], b.other)
}
