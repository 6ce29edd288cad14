//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/damrey/damrey"
)

// No room is left where the broker stores, here by the process's own limit,
// which is there on every machine. It is said, and when there is room again all
// goes on by itself.
func TestFault_NoRoomToStore(t *testing.T) {
	s := newSite(t)
	_, echo := s.line(s.hubURL())
	l := s.load(s.entry(s.hubURL()), loadConfig{})
	s.put(damrey.Registration{Name: "kept"})
	s.put(damrey.Registration{Name: "keeper", Commands: []damrey.Command{{Name: "keep", Worker: "kept", Delivery: damrey.Durable}}})
	keeper := s.sending("keeper", s.hubURL())
	must(t, keeper.Send(t.Context(), "keep", "before"))
	u := s.usage()
	store := func(wait time.Duration) error {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		return keeper.Send(ctx, "keep", "this")
	}
	refuses := func(wait time.Duration) {
		t.Helper()
		asked := time.Now()
		if err := store(wait); !errors.Is(err, damrey.ErrNotStored) || !strings.Contains(err.Error(), "file too large") {
			t.Errorf("a sender is told %v", err)
		}
		l.times = append(l.times, fmt.Sprintf("refused after %v", time.Since(asked).Round(time.Millisecond)))
	}
	restore := s.hub.limit(syscall.RLIMIT_FSIZE, 1)
	refuses(15 * time.Second) // the one that finds it; the broker answers it no more
	for range 3 {
		refuses(2 * time.Second)
	}
	var refused string
	eventually(t, "changes are refused", func() bool {
		_, err := s.client.Put(context.Background(), damrey.Registration{Name: "more"}, "")
		if err != nil && strings.Contains(err.Error(), "nothing can be stored") {
			refused = err.Error()
			return true
		}
		return false
	})
	t.Log(refused)
	ready, err := http.Get("http://" + s.rest + "/readyz")
	must(t, err)
	ready.Body.Close()
	if ready.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("readyz is %d", ready.StatusCode)
	}
	l.recovers("no room: messages go on")
	restore()
	began := time.Now()
	s.put(damrey.Registration{Name: "healed"})
	l.times = append(l.times, fmt.Sprintf("stored again %v", time.Since(began).Round(time.Millisecond)))
	l.recovers("room again")
	s.changesAreSeen(l.w, "with room again")
	eventually(t, "messages are stored again", func() bool { return store(15*time.Second) == nil })
	l.stop()
	u.returns()
	if echo.stats().Stats.Received == 0 {
		t.Error("echo received nothing")
	}
}
