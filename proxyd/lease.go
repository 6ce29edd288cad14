package proxyd

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/bucket"
)

// leases keeps who holds the name of which agent.
//
// A claim holds until its lease is over, counted from when the broker stored it. Both ends of that time are read off the
// broker's clock, so the clocks of proxies and agents may be wrong. Every write is by revision: of two that want a name
// at the same moment, one gets it.
type leases struct {
	store  *store
	name   string
	length time.Duration
}

func newLeases(s *store, length time.Duration) *leases {
	return &leases{store: s, name: bucket.AgentsName(s.prefix), length: length}
}

// key of an agent's name, which has characters that keys have not.
func key(agent string) string { return base64.RawURLEncoding.EncodeToString([]byte(agent)) }

func agentOf(key string) (string, error) {
	name, err := base64.RawURLEncoding.DecodeString(key)
	return string(name), err
}

// holding is a stored claim.
type holding struct {
	api.Claim
	revision uint64
	renewed  time.Time // by the broker's clock
}

// claim takes or renews a name. replaced is the one whose lease had run out, if any.
func (l *leases) claim(ctx context.Context, agent string, c api.Claim) (granted api.Lease, replaced *api.Claim, err error) {
	err = l.change(ctx, agent, func(ctx context.Context, kv jetstream.KeyValue, current *holding) error {
		replaced = nil
		c.Since = time.Now().UTC().Truncate(time.Millisecond)
		switch {
		case current == nil:
		case current.ID != c.ID:
			if err := l.refuseWhileHeld(ctx, agent, current); err != nil {
				return err
			}
			replaced = &current.Claim
		case current.PID == c.PID && current.Host == c.Host:
			c.Since = current.Since
		}
		value, err := json.Marshal(c)
		if err != nil {
			return err
		}
		if current == nil {
			_, err = kv.Create(ctx, key(agent), value)
		} else {
			_, err = kv.Update(ctx, key(agent), value, current.revision)
		}
		return written(err)
	})
	return api.Lease{Claim: c, Seconds: l.length.Seconds()}, replaced, err
}

// release gives a name back. A name that nobody holds, or whose lease of another is over, needs none.
func (l *leases) release(ctx context.Context, agent, id string) error {
	return l.change(ctx, agent, func(ctx context.Context, kv jetstream.KeyValue, current *holding) error {
		if current == nil {
			return nil
		}
		if current.ID != id {
			return l.refuseWhileHeld(ctx, agent, current)
		}
		return written(kv.Delete(ctx, key(agent), jetstream.LastRevision(current.revision)))
	})
}

// list is all claims by key, with what the broker's clock said.
func (l *leases) list(ctx context.Context) (list []record, now time.Time, err error) {
	if list, err = l.store.records(ctx, l.name); err != nil {
		return nil, now, err
	}
	err = l.store.use(ctx, l.name, func(ctx context.Context, _ jetstream.KeyValue) error {
		now, err = l.now(ctx)
		return err
	})
	return list, now, err
}

func (l *leases) change(ctx context.Context, agent string,
	write func(context.Context, jetstream.KeyValue, *holding) error,
) error {
	return l.store.use(ctx, l.name, func(ctx context.Context, kv jetstream.KeyValue) error {
		for attempt := 1; ; attempt++ {
			current, err := readHolding(ctx, kv, agent)
			if err != nil {
				return err
			}
			if err := write(ctx, kv, current); !errors.Is(err, errConflict) {
				return err
			}
			if err := backOff(ctx, attempt); err != nil {
				return fmt.Errorf("agent %q is claimed by others all the time: %w", agent, err)
			}
		}
	})
}

func readHolding(ctx context.Context, kv jetstream.KeyValue, agent string) (*holding, error) {
	got, err := kv.Get(ctx, key(agent))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	h := &holding{revision: got.Revision(), renewed: got.Created()}
	if json.Unmarshal(got.Value(), &h.Claim) != nil {
		h.Claim = api.Claim{} // written by hand: held by nobody whose id could come back
		h.renewed = time.Time{}
	}
	return h, nil
}

// refuseWhileHeld is a problem 409 while the lease of another runs.
func (l *leases) refuseWhileHeld(ctx context.Context, agent string, h *holding) error {
	now, err := l.now(ctx)
	if err != nil {
		return err
	}
	left := h.renewed.Add(l.length).Sub(now)
	if left <= 0 {
		return nil
	}
	p := problem(http.StatusConflict, "agent %q is held by process %d on %s since %s; stop that one, choose another name with -a, "+
		"or try again when its lease is over, in %v", agent, h.PID, h.Host, h.Since.Format(time.RFC3339), left.Round(100*time.Millisecond))
	wait := strconv.Itoa(1 + int(left.Seconds()))
	return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {wait}})
}

// now by the broker's clock.
func (l *leases) now(ctx context.Context) (time.Time, error) {
	stream, err := l.store.stream(ctx, l.name)
	if err != nil {
		return time.Time{}, err
	}
	return stream.CachedInfo().TimeStamp, nil
}
