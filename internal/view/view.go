package view

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/report"
)

// Bounds of what a view remembers.
const (
	MaxRoutes    = 4000 // but for those of the table, which are always told apart
	maxOfWorker  = 500  // routes to one worker that are not in the table
	MaxInstances = 5000
	maxPairs     = 100_000 // instances times their routes
	// silence makes an instance lost. It is a little more than the beats that are missed, since they come with jitter.
	silence = report.Missed*report.Every + report.Every/5
	// maxSkew is how far a clock is shown to be away at most: beyond a day it is just wrong.
	maxSkew = 24 * time.Hour
	// remember is how long one that left or was lost is shown.
	remember = 15 * time.Minute
	// tellEvery is between two events of beats that were refused.
	tellEvery = time.Minute
	// stall is the time between two ticks after which the view itself was not running.
	stall = 4 * time.Second
)

// View is what a proxy knows. It is safe for concurrent use.
type View struct {
	journal *Journal
	since   time.Time
	began   time.Duration

	mu        sync.Mutex // guards what follows
	now       time.Duration
	listening time.Duration // from when on silence of others counts
	table     *damrey.Table
	declared  []declaration // all routes of the table
	instances map[instanceKey]*instance
	pairs     int // over all instances
	routes    map[Key]*route
	all       *route           // everything together
	sum       sum              // of the beat in hand, or of what is asked for
	room      report.Histogram // what it comes to
	spell     spell            // of what is being counted
	sentAt    time.Time        // the beat in hand, by its instance's clock
	came      report.Histogram // of the route in hand
	found     found            // for the beat in hand
	stores    map[string]Store
	dead      map[Key]uint64 // nil: not known yet
	firing    map[Firing]int
	alarms    map[string]alarms // that fire, by worker
	refusals  refusals
	slots     slots
	labels    labels
	rolled    int64
}

type instanceKey struct{ worker, id string }

// New makes an empty view that begins now. run tells its events from those of another run, and has no dash.
func New(now Instant, run string) *View {
	return &View{
		journal: newJournal(run), since: now.Wall.UTC(), began: now.Run, now: now.Run, listening: now.Run,
		instances: make(map[instanceKey]*instance), routes: make(map[Key]*route), slots: newSlots(), labels: newLabels(), all: newRoute(Key{"*", "*", "*"}),
	}
}

// Journal is what happened.
func (v *View) Journal() *Journal { return v.journal }

// RunName is a name for [New], another one at every moment.
func RunName(at time.Time) string { return strconv.FormatInt(at.UnixNano(), 36) }

// SetTable is what is registered now.
func (v *View) SetTable(t *damrey.Table) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.table, v.declared = t, declared(t)
	v.declareRoutes()
}

// Tick lets time pass; it is to be called every second. While the proxy hears nothing itself, nobody else is silent.
func (v *View) Tick(now Instant, hears bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !hears || now.Run-v.now > stall {
		v.listening = now.Run
	}
	v.advance(now)
	for key, i := range v.instances {
		switch quiet := now.Run - max(i.heard, v.listening); {
		case i.gone() && now.Run-i.went > remember:
			v.forget(key, i)
		case !i.gone() && quiet > silence:
			v.lose(now, i)
		}
	}
	v.tellRefused(now)
	if n := int64(now.Run / fineStep); n != v.rolled {
		v.rolled = n
		v.roll(now)
	}
}

func (v *View) advance(now Instant) { v.now = max(v.now, now.Run) }

func (v *View) roll(now Instant) {
	var idle []*route
	for _, r := range v.routes {
		r.roll(now.Run)
		r.trim(now.Run)
		if r.idle(now.Run) {
			idle = append(idle, r)
		}
	}
	v.all.roll(now.Run)
	v.all.trim(now.Run)
	v.dropUnused(idle)
}

// dropUnused forgets those of some routes that no instance tells of.
func (v *View) dropUnused(idle []*route) {
	if len(idle) == 0 {
		return
	}
	used := make(map[*route]bool, len(v.routes))
	for _, i := range v.instances {
		for _, p := range i.order {
			used[p.route] = true
		}
	}
	for _, r := range idle {
		if !used[r] {
			v.drop(r)
		}
	}
}

// sorted are the instances that match, by worker and id.
func (v *View) sorted(match func(*instance) bool) []*instance {
	var list []*instance
	for _, i := range v.instances {
		if match(i) {
			list = append(list, i)
		}
	}
	slices.SortFunc(list, func(a, b *instance) int { return a.key.compare(b.key) })
	return list
}

func daemon(worker string) bool { return worker == report.AgentWorker || worker == report.ProxyWorker }
