package view

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/report"
)

const (
	// roomAtOnce is how many routes are forgotten when there are too many, so that it is not looked for room at each new one.
	roomAtOnce = 250
	// roomAgain is after what time it is looked for room again when there was none.
	roomAgain = time.Second
)

// slots are the bounds of how many routes are told apart.
type slots struct {
	undeclared map[string]int // routes that are not in the table, by the worker that they lead to
	noRoom     map[string]time.Duration
	told       bool // that there are too many routes
	toldOfOne  bool // that there are too many to one worker
}

func newSlots() slots {
	return slots{undeclared: make(map[string]int), noRoom: make(map[string]time.Duration)}
}

// restOf takes what goes to one worker beyond its bound.
func restOf(worker string) Key { return Key{report.Other, report.Other, worker} }

// route finds or makes one. Those of the table are always told apart; beyond the bounds others are counted together.
func (v *View) route(now Instant, key Key) *route {
	if r := v.routes[key]; r != nil {
		return r
	}
	declared := v.stands(key)
	if declared {
		if len(v.routes) >= MaxRoutes {
			v.makeSlots(now, "")
		}
		return v.open(key, true)
	}
	key = v.bounded(now, key)
	if r := v.routes[key]; r != nil {
		return r
	}
	return v.open(key, false)
}

// bounded is the route itself, or what it is counted together with when there is no room for it.
func (v *View) bounded(now Instant, key Key) Key {
	if rest := restOf(key.To); key != rest && v.slots.undeclared[key.To] >= maxOfWorker && !v.makeSlots(now, key.To) {
		v.tellCrowd(now, &v.slots.toldOfOne, key, maxOfWorker, " to worker "+key.To+" that are not in the table", rest)
		key = rest
	}
	if v.routes[key] == nil && key != otherKey && len(v.routes) >= MaxRoutes && !v.makeSlots(now, "") {
		v.tellCrowd(now, &v.slots.told, key, MaxRoutes, "", otherKey)
		key = otherKey
	}
	return key
}

func (v *View) tellCrowd(now Instant, told *bool, key Key, most int, which string, rest Key) {
	if *told {
		return
	}
	*told = true
	v.journal.Add(now.Wall, api.Event{Kind: api.EventBeatRefused, Route: key.String(), Text: fmt.Sprintf(
		"more than %d routes%s have traffic; this one and those that follow are counted together as %s", most, which, rest)})
}

func (v *View) open(key Key, declared bool) *route {
	r := newRoute(key)
	r.declared = declared
	v.routes[key] = r
	if !declared {
		v.slots.undeclared[key.To]++
	}
	return r
}

// drop forgets a route. Instances that told of it ask for one again when there is traffic. What metrics count of it with the
// others stays there, since a counter does not fall.
func (v *View) drop(r *route) {
	if !v.labels.routes[r.key] {
		v.labels.rest.add(&r.total)
	}
	delete(v.routes, r.key)
	if !r.declared {
		v.leaveSlot(r.key.To)
	}
	*r = route{key: r.key, dropped: true}
}

func (v *View) leaveSlot(worker string) {
	if v.slots.undeclared[worker]--; v.slots.undeclared[worker] <= 0 {
		delete(v.slots.undeclared, worker)
	}
}

// declareRoutes finds out anew which routes are in the table.
func (v *View) declareRoutes() {
	clear(v.slots.undeclared)
	for key, r := range v.routes {
		if r.declared = v.stands(key); !r.declared {
			v.slots.undeclared[key.To]++
		}
	}
}

// makeSlots forgets routes that are not in the table and rest, those to one worker or to any: first those that no instance
// tells of that is there, then those that have rested for longest.
func (v *View) makeSlots(now Instant, worker string) bool {
	if at, ok := v.slots.noRoom[worker]; ok && now.Run-at < roomAgain {
		return false
	}
	resting := v.resting(now.Run, worker)
	if len(resting) == 0 {
		if len(v.slots.noRoom) > MaxRoutes {
			clear(v.slots.noRoom)
		}
		v.slots.noRoom[worker] = now.Run
		return false
	}
	delete(v.slots.noRoom, worker)
	for _, r := range resting[:min(len(resting), roomAtOnce)] {
		v.drop(r)
	}
	return true
}

// resting are the routes that may be forgotten, in the order in which they should be.
func (v *View) resting(now time.Duration, worker string) []*route {
	var all []*route
	for key, r := range v.routes {
		if !r.declared && key != otherKey && (worker == "" || key.To == worker && key != restOf(worker)) && now-max(r.traffic, r.missed) > window {
			all = append(all, r)
		}
	}
	if len(all) == 0 {
		return nil
	}
	there := make(map[*route]bool)
	for _, i := range v.instances {
		if i.gone() {
			continue
		}
		for _, p := range i.order {
			there[p.route] = true
		}
	}
	slices.SortFunc(all, func(a, b *route) int {
		if there[a] != there[b] {
			if there[b] {
				return -1
			}
			return 1
		}
		return cmp.Compare(max(a.traffic, a.missed), max(b.traffic, b.missed))
	})
	return all
}
