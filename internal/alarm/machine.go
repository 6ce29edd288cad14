package alarm

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/damrey/damrey/internal/api"
)

const (
	// Every is how often facts are to be looked at. A longer time between two looks counts as this: what was true
	// meanwhile is not known, and a clock that jumps must not make anything fire.
	Every = 2 * time.Second
	// Kept is how long a resolved alarm is shown, and of what time its firings are counted.
	Kept = 24 * time.Hour
	// maxOfRule is how many alarms of one rule there are at most; the rest is said in one.
	maxOfRule = 200
	// others is what that one is about.
	others = "others"
)

// Entry is an alarm with what is needed to go on with it elsewhere.
type Entry struct {
	Alarm api.Alarm `json:"alarm"`
	// Firings are the times of the last day at which it fired.
	Firings []time.Time `json:"firings,omitempty"`
	// Told says that it was told that it fires, and nobody was told since that it does not.
	Told bool `json:"told,omitempty"`
	// Keep is how long it must not be true, in seconds, by the rule as it was when it was last true.
	Keep float64 `json:"keep_seconds,omitempty"`

	held time.Duration // how long it has been true while pending, or not been true while firing
	seen bool          // in this step
}

// Change is an alarm that went on to another state.
type Change struct {
	From  api.AlarmState // empty: there was none
	Alarm api.Alarm
}

// Machine makes alarms of findings. It is not safe for concurrent use.
type Machine struct {
	entries map[string]*Entry
	dirty   map[string]bool // ids that changed since they were last taken
}

// NewMachine goes on with what another has left.
func NewMachine(entries []Entry) *Machine {
	m := &Machine{entries: make(map[string]*Entry, len(entries)), dirty: make(map[string]bool)}
	for _, e := range entries {
		e.held = 0
		m.entries[e.Alarm.ID] = &e
	}
	return m
}

// Step takes what is true at a moment, so long after the last step, and returns what changed. now is only written down;
// what fires and what is resolved depends on elapsed alone.
func (m *Machine) Step(now time.Time, elapsed time.Duration, book Book, f Facts) []Change {
	elapsed = min(max(elapsed, 0), Every)
	now = now.UTC().Truncate(time.Millisecond)
	findings, unknown := book.find(f)
	for _, e := range m.entries {
		e.seen = false
	}
	var changes []Change
	for _, finding := range m.bounded(findings) {
		changes = append(changes, m.seen(now, elapsed, finding)...)
	}
	for _, id := range slices.Sorted(maps.Keys(m.entries)) {
		e := m.entries[id]
		if !e.seen && (!unknown[e.Alarm.Rule] && !book.dark(f, e.Alarm) || book.off(e.Alarm)) {
			changes = append(changes, m.missed(now, elapsed, e, book)...)
		}
		m.forgetOld(now, e)
	}
	return changes
}

// bounded keeps the number of alarms of a rule within limits. Those that are there already come first, so that one that
// comes does not resolve another.
func (m *Machine) bounded(findings []found) []found {
	slices.SortStableFunc(findings, func(a, b found) int {
		return cmp.Or(cmp.Compare(a.rule, b.rule), cmp.Compare(m.age(a), m.age(b)), cmp.Compare(a.About, b.About))
	})
	of, left := make(map[string]int), make(map[string]found)
	counts := make(map[string]int)
	kept := findings[:0]
	for _, f := range findings {
		if of[f.rule]++; of[f.rule] <= maxOfRule {
			kept = append(kept, f)
			continue
		}
		counts[f.rule]++
		left[f.rule] = f
	}
	for rule, f := range left {
		f.Finding = Finding{About: others, Value: float64(counts[rule]), Text: fmt.Sprintf("%s is true of %d more", rule, counts[rule]), Do: "damrey alarm ls --rule " + rule}
		kept = append(kept, f)
	}
	return kept
}

// age is 0 for what has an alarm that lives.
func (m *Machine) age(f found) int {
	if e := m.entries[f.id()]; e != nil && e.Alarm.State != api.AlarmResolved {
		return 0
	}
	return 1
}

// seen goes on with what is true.
func (m *Machine) seen(now time.Time, elapsed time.Duration, f found) (changes []Change) {
	alarm := f.alarm()
	e := m.entries[alarm.ID]
	if e == nil || e.Alarm.State == api.AlarmResolved {
		e, changes = m.begin(now, e, alarm)
		elapsed = 0
	}
	if e.seen { // two findings about the same
		return changes
	}
	e.seen = true
	e.describe(alarm)
	e.Keep = f.keep.Seconds()
	if e.Alarm.State == api.AlarmFiring {
		e.held = 0
		m.clear(e, nil)
		return nil
	}
	if e.held += elapsed; e.held >= f.hold {
		changes = append(changes, m.to(now, e, api.AlarmFiring))
	}
	return changes
}

// describe takes over what may change while an alarm lasts.
func (e *Entry) describe(a api.Alarm) {
	e.Alarm.Severity, e.Alarm.Worker, e.Alarm.Text = a.Severity, a.Worker, a.Text
	e.Alarm.Do, e.Alarm.Hint = a.Do, a.Hint
	e.Alarm.Value, e.Alarm.Limit = a.Value, a.Limit
}

// begin makes an alarm pending, anew or again.
func (m *Machine) begin(now time.Time, before *Entry, alarm api.Alarm) (*Entry, []Change) {
	e := &Entry{Alarm: alarm}
	var from api.AlarmState
	if before != nil {
		from = before.Alarm.State
		e.Firings, e.Alarm.Count, e.Alarm.Fired = before.Firings, before.Alarm.Count, before.Alarm.Fired
	}
	e.Alarm.State, e.Alarm.Since = api.AlarmPending, now
	m.entries[alarm.ID] = e
	m.dirty[alarm.ID] = true
	return e, []Change{{From: from, Alarm: e.Alarm}}
}

// missed goes on with what is not true.
func (m *Machine) missed(now time.Time, elapsed time.Duration, e *Entry, book Book) []Change {
	switch e.Alarm.State {
	case api.AlarmPending:
		if len(e.Firings) == 0 {
			delete(m.entries, e.Alarm.ID)
			m.dirty[e.Alarm.ID] = true
			return nil
		}
		return []Change{m.to(now, e, api.AlarmResolved)}
	case api.AlarmFiring:
		e.held += elapsed
		if e.held.Seconds() >= e.Keep || book.off(e.Alarm) {
			return []Change{m.to(now, e, api.AlarmResolved)}
		}
		if e.Alarm.Cleared == nil {
			m.clear(e, &now)
		}
	}
	return nil
}

// clear notes since when what fires is not true, or that it is.
func (m *Machine) clear(e *Entry, since *time.Time) {
	if e.Alarm.Cleared == nil && since == nil {
		return
	}
	e.Alarm.Cleared = since
	m.dirty[e.Alarm.ID] = true
}

// ruleOf an alarm; nil when there is none any more.
func (b Book) ruleOf(a api.Alarm) *Rule {
	i := slices.IndexFunc(b.rules, func(r Rule) bool { return r.name == a.Rule })
	if i < 0 {
		return nil
	}
	return &b.rules[i]
}

// off says that nobody looks for such an alarm any more.
func (b Book) off(a api.Alarm) bool {
	r := b.ruleOf(a)
	return r == nil || !r.of(a.Worker).enabled
}

// dark says that nothing is known of what an alarm is about, though its rule can be judged.
func (b Book) dark(f Facts, a api.Alarm) bool {
	r := b.ruleOf(a)
	return r != nil && r.kind.dark != nil && r.kind.dark(f, a.About)
}

func (m *Machine) to(now time.Time, e *Entry, state api.AlarmState) Change {
	from := e.Alarm.State
	e.Alarm.State, e.Alarm.Since, e.Alarm.Cleared, e.held = state, now, nil, 0
	if state == api.AlarmFiring {
		e.Firings = append(e.Firings, now)
		e.Alarm.Fired = &now
		e.Alarm.Count = len(e.Firings)
	}
	m.dirty[e.Alarm.ID] = true
	return Change{From: from, Alarm: e.Alarm}
}

// maxFirings bounds what is kept of one alarm.
const maxFirings = 1000

// forgetOld counts the last day only, and removes what was resolved before it.
func (m *Machine) forgetOld(now time.Time, e *Entry) {
	old := func(t time.Time) bool { return now.Sub(t) > Kept }
	e.Firings = slices.DeleteFunc(e.Firings, old)
	if n := len(e.Firings) - maxFirings; n > 0 {
		e.Firings = e.Firings[n:]
	}
	if len(e.Firings) != e.Alarm.Count {
		e.Alarm.Count = len(e.Firings)
		m.dirty[e.Alarm.ID] = true
	}
	if e.Alarm.State == api.AlarmResolved && old(e.Alarm.Since) {
		delete(m.entries, e.Alarm.ID)
		m.dirty[e.Alarm.ID] = true
	}
}

// Entry of an alarm; false when there is none.
func (m *Machine) Entry(id string) (Entry, bool) {
	e := m.entries[id]
	if e == nil {
		return Entry{}, false
	}
	return *e, true
}

// Entries are all of them.
func (m *Machine) Entries() []Entry {
	all := make([]Entry, 0, len(m.entries))
	for _, id := range slices.Sorted(maps.Keys(m.entries)) {
		all = append(all, *m.entries[id])
	}
	return all
}

// SetTold notes whether others believe that an alarm fires.
func (m *Machine) SetTold(id string, told bool) {
	if e := m.entries[id]; e != nil && e.Told != told {
		e.Told = told
		m.dirty[id] = true
	}
}

// TakeDirty are the ids of the alarms that changed since the last time, those that are gone among them.
func (m *Machine) TakeDirty() []string {
	ids := slices.Sorted(maps.Keys(m.dirty))
	clear(m.dirty)
	return ids
}

// MarkDirty puts ids back that could not be stored.
func (m *Machine) MarkDirty(ids ...string) {
	for _, id := range ids {
		m.dirty[id] = true
	}
}

// Sort puts the firing ones first, then pending and resolved ones, of each the worst first, then the newest.
func Sort(alarms []api.Alarm) {
	place := map[api.AlarmState]int{api.AlarmFiring: 0, api.AlarmPending: 1, api.AlarmResolved: 2}
	slices.SortFunc(alarms, func(a, b api.Alarm) int {
		return cmp.Or(cmp.Compare(place[a.State], place[b.State]), cmp.Compare(slices.Index(Severities, b.Severity), slices.Index(Severities, a.Severity)),
			b.Since.Compare(a.Since), cmp.Compare(a.ID, b.ID))
	})
}

// Hushes says whether a silence is about an alarm, and not over.
func Hushes(s api.Silence, a api.Alarm, now time.Time) bool {
	return now.Before(s.Until) && (s.Rule == "" || s.Rule == a.Rule) && (s.Worker == "" || s.Worker == a.Worker)
}
