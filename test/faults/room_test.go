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
	big := damrey.Registration{Name: "big"}
	for i := range 500 {
		big.Commands = append(big.Commands, damrey.Command{Name: fmt.Sprintf("type-%d", i), Worker: strings.Repeat("x", 60)})
	}
	u := s.usage()
	restore := s.hub.limit(syscall.RLIMIT_FSIZE, 128<<10)
	var refused string
	eventually(t, "changes are refused", func() bool {
		_, err := s.client.Put(context.Background(), big, "")
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
	s.hub.limit(syscall.RLIMIT_FSIZE, 1) // what could be stored so far is small
	store := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		return keeper.Send(ctx, "keep", "this")
	}
	for range 3 {
		asked := time.Now()
		if err := store(); !errors.Is(err, damrey.ErrNotStored) || !strings.Contains(err.Error(), "file too large") {
			t.Errorf("a sender is told %v", err)
		}
		l.times = append(l.times, fmt.Sprintf("refused after %v", time.Since(asked).Round(time.Millisecond)))
	}

	restore()
	began := time.Now()
	s.put(damrey.Registration{Name: "healed"})
	l.times = append(l.times, fmt.Sprintf("stored again %v", time.Since(began).Round(time.Millisecond)))
	l.recovers("room again")
	s.changesAreSeen(l.w, "with room again")
	eventually(t, "messages are stored again", func() bool { return store() == nil })
	l.stop()
	u.returns()
	if echo.stats().Stats.Received == 0 {
		t.Error("echo received nothing")
	}
}
