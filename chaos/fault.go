package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// kind of a fault. run does it and heals it; it returns when all is well again.
type kind struct {
	name string
	run  func(ctx context.Context, s *site, h *happened, random *rand.Rand) error
	wide bool // it is at a node: the cluster has to be whole before the next
}

// happened is a fault that was made.
type happened struct {
	name   string
	target string
	began  time.Time
	ended  time.Time
	hits   map[string]bool // instances that it is at, by name; nil: all, since it is at a node that they need
	silent window          // in which nothing may be acknowledged that was first sent in it
}

// window of time; the zero value is none.
type window struct{ from, to time.Time }

func (w window) holds(t time.Time) bool { return !t.Before(w.from) && t.Before(w.to) }

// Faults are the names of all kinds.
func Faults() []string {
	var names []string
	for _, k := range kinds() {
		names = append(names, k.name)
	}
	return names
}

func kinds() []kind {
	return []kind{
		{name: "kill-instance", run: killInstance},
		{name: "kill-agent", run: killAgent},
		{name: "kill-leader", run: killLeader, wide: true},
		{name: "kill-cluster", run: killCluster, wide: true},
		{name: "freeze-instance", run: freezeInstance},
		{name: "freeze-agent", run: freezeAgent},
		{name: "freeze-leader", run: freezeLeader, wide: true},
		{name: "freeze-cluster", run: freezeCluster, wide: true},
		{name: "cut-leaf", run: cutLeaf},
		{name: "delay-leaf", run: delayLeaf},
		{name: "throttle-leaf", run: throttleLeaf},
		{name: "disk-full", run: diskFull, wide: true},
		{name: "corrupt-block", run: corruptBlock, wide: true},
		{name: "two-down", run: twoDown, wide: true},
		{name: "slow-routes", run: slowRoutes, wide: true},
		{name: "rolling-restart", run: rollingRestart, wide: true},
	}
}

// make does what is planned. The error says that it could not be done or healed.
func (p plan) make(ctx context.Context, s *site) (*happened, error) {
	h := &happened{name: p.kind.name, began: time.Now()}
	err := p.kind.run(ctx, s, h, rand.New(rand.NewPCG(p.pick, 2)))
	if p.kind.wide && err == nil {
		err = s.settle(ctx)
	}
	h.ended = time.Now()
	if err != nil {
		err = fmt.Errorf("%s %s: %w", h.name, h.target, err)
	}
	return h, err
}

// at names where a fault is, right before it is made.
func (h *happened) at(target string, hits ...*worker) {
	h.target, h.began = target, time.Now()
	if len(hits) == 0 {
		return
	}
	h.hits = make(map[string]bool)
	for _, w := range hits {
		h.hits[w.name] = true
	}
}

// hit says whether the fault was at an instance, its agent or its broker.
func (h *happened) hit(instance string) bool { return h.hits == nil || h.hits[instance] }

// overlaps a time.
func (h *happened) overlaps(from, to time.Time) bool {
	return h.began.Before(to) && h.ended.After(from)
}

// behind are the instances of an agent.
func (s *site) behindAgent(a *agent) []*worker {
	var all []*worker
	for _, w := range s.workers {
		if w.agent == a {
			all = append(all, w)
		}
	}
	return all
}
