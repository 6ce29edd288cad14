package proxyd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/bucket"
)

// entry is one worker's place in the table.
type entry struct {
	reg      damrey.Registration
	revision uint64
	updated  time.Time
	damage   error // set when what is stored is no registration; reg then has the name alone
}

// guard decides on the entry that is there now, nil when there is none, whether a change may be made. It is asked again
// when somebody else was faster.
type guard func(current *entry) error

// table is the bucket of registrations.
type table struct {
	store *store
	name  string
}

func newTable(s *store) *table { return &table{store: s, name: bucket.Name(s.prefix)} }

// get returns nil when the worker is not registered.
func (t *table) get(ctx context.Context, name string) (e *entry, err error) {
	err = t.store.use(ctx, t.name, func(ctx context.Context, kv jetstream.KeyValue) error {
		e, err = t.read(ctx, kv, name)
		return err
	})
	return e, err
}

// list is all entries by name, readable or not.
func (t *table) list(ctx context.Context) ([]*entry, error) {
	records, err := t.store.records(ctx, t.name)
	entries := make([]*entry, 0, len(records))
	for _, r := range records {
		entries = append(entries, newEntry(r.key, r.value, r.revision, r.created))
	}
	return entries, err
}

// put stores a registration as a whole if allow says so. op is add or chg.
func (t *table) put(ctx context.Context, reg damrey.Registration, allow guard) (stored *entry, op string, err error) {
	value, err := json.Marshal(reg)
	if err != nil {
		return nil, "", err
	}
	if limit := t.store.nc.MaxPayload(); limit > 0 && int64(len(value)) > limit {
		return nil, "", fmt.Errorf("%w: %d bytes of %d (max_payload)", errPayload, len(value), limit)
	}
	err = t.change(ctx, reg.Name, allow, func(ctx context.Context, kv jetstream.KeyValue, current *entry) error {
		var revision uint64
		if current == nil {
			op = opAdd
			revision, err = kv.Create(ctx, reg.Name, value)
		} else {
			op = opChange
			revision, err = kv.Update(ctx, reg.Name, value, current.revision)
		}
		stored = &entry{reg: reg, revision: revision}
		return written(err)
	})
	return stored, op, err
}

// del removes an entry if allow says so, and returns what was there.
func (t *table) del(ctx context.Context, name string, allow guard) (removed *entry, err error) {
	err = t.change(ctx, name, allow, func(ctx context.Context, kv jetstream.KeyValue, current *entry) error {
		removed = current
		if current == nil {
			return problem(http.StatusNotFound, "%s", notRegistered(name))
		}
		return written(t.remove(ctx, kv, name, current.revision))
	})
	return removed, err
}

// change reads, asks and writes by revision, again and again while others are faster.
func (t *table) change(ctx context.Context, name string, allow guard,
	write func(context.Context, jetstream.KeyValue, *entry) error,
) error {
	if err := t.store.refuse(); err != nil {
		return err
	}
	err := t.store.use(ctx, t.name, func(ctx context.Context, kv jetstream.KeyValue) error {
		for attempt := 1; ; attempt++ {
			current, err := t.read(ctx, kv, name)
			if err != nil {
				return err
			}
			if err := allow(current); err != nil {
				return err
			}
			if err := write(ctx, kv, current); !errors.Is(err, errConflict) {
				return err
			}
			if err := backOff(ctx, attempt); err != nil {
				return fmt.Errorf("worker %q is changed by others all the time: %w", name, err)
			}
		}
	})
	return t.store.explain(err)
}

// backOff also gives a follower that answers reads the time to learn of the change that was lost to.
func backOff(ctx context.Context, attempt int) error {
	most := min(time.Duration(attempt)*5*time.Millisecond, 50*time.Millisecond)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(rand.N(most)):
		return nil
	}
}

func readEntry(ctx context.Context, kv jetstream.KeyValue, name string) (*entry, error) {
	got, err := kv.Get(ctx, name)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return newEntry(name, got.Value(), got.Revision(), got.Created()), nil
}

func newEntry(name string, value []byte, revision uint64, updated time.Time) *entry {
	e := &entry{revision: revision, updated: updated.UTC()}
	e.damage = e.reg.UnmarshalJSON(value)
	if e.damage == nil && e.reg.Name != name {
		e.damage = fmt.Errorf("%w: it is stored as %q and says %q", errForeign, shorten(name), shorten(e.reg.Name))
	}
	if e.damage == nil {
		e.damage = e.reg.Validate()
	}
	if e.damage != nil {
		e.reg = damrey.Registration{Name: name}
	}
	return e
}

// damaged says how to get out of it. Only what is at a worker's name can be replaced.
func damaged(status int, e *entry) error {
	name := e.reg.Name
	way := fmt.Sprintf("remove it with `damrey worker del %s`, or DELETE /v1/workers/%s", name, url.PathEscape(name))
	if damrey.CheckWorkerName(name) == nil {
		way = "replace it with `damrey worker chg -f FILE`, or " + way
	}
	p := problem(status, "the entry %q at revision %d is damaged: %v; %s", name, e.revision, e.damage, way)
	p.Type = api.TypeDamaged
	return p
}

func notRegistered(name string) string {
	return fmt.Sprintf("worker %q is not registered; `damrey worker list` shows those that are", name)
}
