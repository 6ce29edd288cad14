package proxyd

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey/internal/alarm"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/bucket"
)

const (
	// judgeEvery is how often it is looked whether something is wrong.
	judgeEvery = time.Second
	// storeEvery is how often a text or a value that changed is stored while an alarm stays in its state.
	storeEvery = 15 * time.Second
	// listAge is how old the list of alarms may be that is given out.
	listAge = 15 * time.Second
)

// alarms watches for what is wrong and tells of it, while it is this proxy's turn; else it shows what the one stores whose
// turn it is.
type alarms struct {
	store *store
	turn  *turn
	// facts are all that is known now.
	facts func(context.Context) (alarm.Facts, error)
	hooks *webhooks
	given *api.AlarmSettings // by the configuration, until they are stored; nil: nothing
	alone bool               // no other proxy has a broker of its own

	settings mirror
	state    mirror
	reading  sync.Mutex // held from reading the settings until they are taken over

	// Of the goroutine that looks.
	machine *alarm.Machine // nil: it is not this proxy's turn
	history *alarm.History
	looked  time.Time
	stored  map[string]string // what is in the bucket by id, as JSON
	flushed time.Time
	failing string // the failure that was logged last

	kick chan struct{} // look now

	mu       sync.Mutex // guards all below
	list     []api.Alarm
	listed   time.Time
	now      *alarmSettings // never nil
	problem  error          // why nothing is known
	watching bool           // it is this proxy's turn, and webhooks run
}

func newAlarms(s *store, cfg Config, hooks *webhooks) *alarms {
	a := &alarms{
		store: s, hooks: hooks, given: cfg.Alarms, alone: cfg.Node == "", history: alarm.NewHistory(),
		settings: mirror{store: s, name: bucket.AlarmsName(s.prefix)},
		state:    mirror{store: s, name: bucket.AlarmStateName(s.prefix)},
		now:      parseSettings(nil), problem: errNotYet, kick: make(chan struct{}, 1),
	}
	a.turn = newAlarmTurn(s, a.lookNow)
	return a
}

var errNotYet = errors.New("the proxy has just started and has not looked yet")

// run looks until ctx ends. It begins when the table is there.
func (a *alarms) run(ctx context.Context, ready <-chan struct{}) {
	select {
	case <-ready:
	case <-ctx.Done():
		return
	}
	var others sync.WaitGroup
	defer others.Wait()
	ticker := time.NewTicker(judgeEvery)
	defer ticker.Stop()
	for began := false; ; {
		if !began {
			if err := a.store.ensureAlarms(ctx); err == nil {
				began = true
				others.Go(func() { a.turn.run(ctx) })
			} else {
				a.fail(err)
			}
		}
		if began {
			a.look(ctx)
		}
		select {
		case <-ticker.C:
		case <-a.kick:
		case <-ctx.Done():
			return
		}
	}
}

func (a *alarms) lookNow() {
	select {
	case a.kick <- struct{}{}:
	default:
	}
}

// look is one look at everything.
func (a *alarms) look(ctx context.Context) {
	elapsed, now := a.elapsed()
	facts, err := a.facts(ctx)
	if err == nil {
		a.history.Add(&facts, elapsed)
	}
	settings, failed := a.refresh(ctx)
	if failed == nil {
		failed = a.applyGiven(ctx)
	}
	if !a.mine() {
		a.handOver()
		a.follow(ctx)
		return
	}
	if a.machine == nil && a.takeOver(ctx) != nil {
		return
	}
	if err != nil {
		a.fail(err)
		a.publish(now) // what is known stays as it was
		return
	}
	a.fail(failed)
	a.machine.Step(now, elapsed, settings.book, facts)
	told := a.toTell(settings, now)
	a.save(ctx, now)
	a.publish(now)
	for _, t := range told {
		a.tell(t)
	}
	a.dropAcks(ctx, settings)
}

// elapsed is by the clock that does not jump.
func (a *alarms) elapsed() (elapsed time.Duration, now time.Time) {
	now = time.Now()
	if !a.looked.IsZero() {
		elapsed = now.Sub(a.looked)
	}
	a.looked = now
	return elapsed, now
}

// refresh reads the settings again if they have changed; without the broker those before hold.
func (a *alarms) refresh(ctx context.Context) (*alarmSettings, error) {
	a.reading.Lock()
	defer a.reading.Unlock()
	records, changed, err := a.settings.read(ctx)
	if err != nil && errors.Is(err, jetstream.ErrStreamNotFound) {
		err = errors.Join(err, a.store.ensureAlarms(ctx)) // somebody has removed it
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil && changed {
		a.now = parseSettings(records)
		for _, what := range a.now.damaged {
			a.store.log.Error().Str("key", what).Msg("a setting of alarms cannot be read and is left out; set it again")
		}
		if a.watching {
			a.hooks.set(a.now.webhooks, a.now.firing(a.list))
		}
	}
	return a.now, err
}

// current settings, as they were last read.
func (a *alarms) current() *alarmSettings {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now
}

// follow shows what another proxy has stored. Until it is known which one watches, an empty list would say that nothing is
// wrong, where nobody has looked.
func (a *alarms) follow(ctx context.Context) {
	if !a.turn.known() {
		return
	}
	records, _, err := a.state.read(ctx)
	if err != nil {
		a.fail(err)
		return
	}
	entries, _ := parseEntries(records)
	a.show(entries, time.Now())
}

// publish shows the machine's alarms.
func (a *alarms) publish(now time.Time) { a.show(a.machine.Entries(), now) }

func (a *alarms) show(entries []alarm.Entry, now time.Time) {
	list := make([]api.Alarm, len(entries))
	for i, e := range entries {
		list[i] = e.Alarm
	}
	alarm.Sort(list)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list, a.listed, a.problem = list, now, nil
}

// fail logs a failure once, and when it has passed.
func (a *alarms) fail(err error) {
	text := ""
	if err != nil {
		text = err.Error()
		a.mu.Lock()
		a.problem = err
		a.mu.Unlock()
	}
	if text == a.failing {
		return
	}
	a.failing = text
	if err == nil {
		a.store.log.Info().Msg("alarms are watched for again")
	} else if !errors.Is(err, errTrouble) && !errors.Is(err, errMajority) { // whoever has the trouble tells of it
		a.store.log.Warn().Err(err).Msg("it cannot be watched for alarms properly")
	}
}

// all are the alarms as they are now, with what operators have said of them; an error while that is not known.
func (a *alarms) all() ([]api.Alarm, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if now.Sub(a.listed) > listAge {
		return nil, problem(http.StatusServiceUnavailable, "what is wrong is not known: %v; try again", a.problem)
	}
	list := make([]api.Alarm, len(a.list))
	for i, one := range a.list {
		list[i] = a.now.describe(one, now)
	}
	return list, nil
}

// toTell notes which alarms are to be told, before that is stored: another proxy must not tell them again.
func (a *alarms) toTell(settings *alarmSettings, now time.Time) (told []api.Alarm) {
	for _, e := range a.machine.Entries() {
		switch {
		case e.Alarm.State == api.AlarmFiring && !e.Told && settings.silenceOf(e.Alarm, now) == nil:
			a.machine.SetTold(e.Alarm.ID, true)
		case e.Alarm.State == api.AlarmResolved && e.Told:
			a.machine.SetTold(e.Alarm.ID, false)
		default:
			continue
		}
		told = append(told, settings.describe(e.Alarm, now))
	}
	return told
}

// save stores what changed. What cannot be stored is told nevertheless, and tried again at the next look.
func (a *alarms) save(ctx context.Context, now time.Time) {
	ids := a.machine.TakeDirty()
	if now.Sub(a.flushed) >= storeEvery {
		a.flushed = now
		for _, e := range a.machine.Entries() {
			ids = append(ids, e.Alarm.ID)
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	for i, id := range ids {
		if err := a.saveOne(ctx, id); err != nil {
			a.machine.MarkDirty(ids[i:]...)
			a.fail(err)
			return
		}
	}
}

func (a *alarms) saveOne(ctx context.Context, id string) error {
	e, ok := a.machine.Entry(id)
	if !ok {
		delete(a.stored, id)
		return a.store.putAlarm(ctx, a.state.name, key(id), nil)
	}
	value, err := json.Marshal(e)
	if err != nil || a.stored[id] == string(value) {
		return err
	}
	if err := a.store.putAlarm(ctx, a.state.name, key(id), json.RawMessage(value)); err != nil {
		return err
	}
	a.stored[id] = string(value)
	return nil
}

// tell tells everybody, and waits for nobody.
func (a *alarms) tell(told api.Alarm) {
	log := a.store.log.Info()
	if told.State == api.AlarmFiring {
		log = a.store.log.Warn()
	}
	if told.Hint != "" {
		log = log.Str("hint", told.Hint)
	}
	log.Str("alarm", told.ID).Str("severity", told.Severity).Str("do", told.Do).Msg("alarm " + string(told.State) + ": " + told.Text)
	if err := a.emit(told); err != nil {
		a.store.log.Warn().Err(err).Str("alarm", told.ID).Msg("the alarm could not be published")
	}
	a.hooks.tell(told)
}

func (a *alarms) emit(told api.Alarm) error {
	data, err := json.Marshal(told)
	if err != nil {
		return err
	}
	worker := told.Worker
	if worker == "" || strings.ContainsAny(worker, ".*> \t\r\n") { // no name of a worker
		worker = "_"
	}
	return a.store.nc.Publish(a.store.prefix+".alarm."+told.Severity+"."+told.Rule+"."+worker, data)
}

// dropAcks ends what was said of alarms that are over.
func (a *alarms) dropAcks(ctx context.Context, settings *alarmSettings) {
	for id := range settings.acks {
		if e, ok := a.machine.Entry(id); ok && e.Alarm.State != api.AlarmResolved {
			continue
		}
		if err := a.store.putAlarm(ctx, a.settings.name, keyAck+key(id), nil); err != nil {
			return
		}
	}
	for _, s := range settings.silences {
		if time.Since(s.Until) > time.Hour {
			if err := a.store.putAlarm(ctx, a.settings.name, keySilence+s.ID, nil); err != nil {
				return
			}
		}
	}
}
