package view

import (
	"math"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/report"
)

// Instances are those of workers, with those that went in the last while.
func (v *View) Instances(now Instant) api.InstanceList {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.advance(now)
	all := v.sorted(func(i *instance) bool { return !daemon(i.key.worker) })
	list := api.InstanceList{At: now.Wall.UTC(), Since: v.since, Instances: make([]api.Instance, 0, len(all))}
	for _, i := range all {
		list.Instances = append(list.Instances, v.describe(now, i))
	}
	return list
}

// Agents and Proxies are those that beat, as if they were instances. The beat says the name and the URL.
func (v *View) Agents(now Instant) []Daemon { return v.daemons(now, report.AgentWorker) }

// Proxies are those that beat.
func (v *View) Proxies(now Instant) []Daemon { return v.daemons(now, report.ProxyWorker) }

// Daemon is an agent or a proxy that beats.
type Daemon struct {
	api.Instance
	Name, URL string
}

func (v *View) daemons(now Instant, worker string) []Daemon {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.advance(now)
	var all []Daemon
	for _, i := range v.sorted(func(i *instance) bool { return i.key.worker == worker }) {
		all = append(all, Daemon{Instance: v.describe(now, i), Name: i.beat.Name, URL: i.beat.URL})
	}
	return all
}

func (v *View) describe(now Instant, i *instance) api.Instance {
	c, rate := i.now()
	v.sum.reset()
	i.stay(&v.sum)
	v.room = v.sum.histogram(v.room[:0])
	v.sum.reset()
	return api.Instance{
		Worker: i.key.worker, ID: i.key.id, Version: i.beat.Version, Host: i.beat.Host, PID: i.beat.PID, Agent: i.beat.Agent,
		Program: i.beat.Program, Started: i.beat.Started, Heard: now.wallAt(i.heard), State: i.state, Stale: i.beat.Stale,
		InFlight: i.beat.InFlight, Queued: i.beat.Queued, Capacity: i.beat.Capacity,
		Skew: math.Round(i.skew.Seconds()*1000)/1000 + 0, // no -0
		Rate: round(rate), Errors: c.errorShare(), P99: milliseconds(v.room.Quantile(0.99)), Counts: i.beat.Counts,
	}
}
