package damreytest

import (
	"context"
	"strings"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/bucket"
)

// ensureJobs makes the streams that the durable routes of reg need, as a proxy
// would, and changes the limits of reg's own.
func (f *Fabric) ensureJobs(ctx context.Context, reg damrey.Registration) error {
	f.mu.Lock()
	if f.jobs == nil {
		f.jobs, f.limits = make(map[string]bool), make(map[string]bucket.Limits)
	}
	f.limits[reg.Name] = bucket.Limits{Messages: int64(reg.MaxMessages), Bytes: int64(reg.MaxBytes)}
	needed, keyed := make(map[string]bucket.Limits), make(map[string]bool)
	if f.jobs[reg.Name] {
		needed[reg.Name] = f.limits[reg.Name]
	}
	for _, c := range reg.Commands {
		if c.Delivery == damrey.Durable {
			f.jobs[c.Worker] = true
			needed[c.Worker] = f.limits[c.Worker]
			keyed[c.Worker] = keyed[c.Worker] || c.Key != 0
		}
	}
	f.mu.Unlock()
	if len(needed) == 0 {
		return nil
	}
	if err := bucket.EnsureDead(ctx, f.js, damrey.DefaultPrefix); err != nil {
		return err
	}
	for worker, limits := range needed {
		if err := bucket.EnsureJobs(ctx, f.js, damrey.DefaultPrefix, worker, limits); err != nil {
			return err
		}
		if keyed[worker] {
			if err := bucket.EnsureKeyed(ctx, f.js, damrey.DefaultPrefix, worker); err != nil {
				return err
			}
		}
		if err := f.nc.Publish(damrey.JobsSubject(damrey.DefaultPrefix, worker), nil); err != nil {
			return err
		}
		if err := f.release(ctx, reg, worker); err != nil {
			return err
		}
	}
	return nil
}

// release lets messages go on that were stored while a route of reg was paused.
func (f *Fabric) release(ctx context.Context, reg damrey.Registration, worker string) error {
	held, err := bucket.Held(ctx, f.js, damrey.DefaultPrefix, worker)
	if err != nil {
		return err
	}
	row := damrey.NewTable(damrey.DefaultPrefix, []damrey.Registration{reg}, nil).Row(reg.Name)
	for route := range held {
		typ, from, _ := strings.Cut(route, ".")
		if r := row.Route(typ); from != reg.Name || r != nil && r.Paused {
			continue
		}
		if _, err := bucket.Resume(ctx, f.js, damrey.DefaultPrefix, worker, route, f.limits[worker]); err != nil {
			return err
		}
	}
	return nil
}
