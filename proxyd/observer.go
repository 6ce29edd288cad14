package proxyd

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/bucket"
	"github.com/damrey/damrey/internal/report"
	"github.com/damrey/damrey/internal/view"
)

const (
	// tickEvery is how often time passes in the view.
	tickEvery = time.Second
	// hearEvery is how often it is looked whether more beats have come, while they do.
	hearEvery = 25 * time.Millisecond
	// maxBeats is how many may come meanwhile. Those beyond are lost, and what they count comes with the next.
	maxBeats = 4 * view.MaxInstances
)

// observer feeds the view with what the fabric tells of itself, and tells of instances that come and go.
type observer struct {
	store  *store
	keeper *keeper
	view   *view.View
	clock  view.Clock
	stores storeReader
	// alarms are those that are known now.
	alarms func() ([]api.Alarm, error)
	// tells says whether it is this proxy that tells on NATS, and whether that is known yet.
	tells  func() (mine, known bool)
	tables atomic.Uint64 // how many the view was given
	parser view.Parser   // of the goroutine that hears beats
}

func newObserver(s *store, k *keeper) *observer {
	o := &observer{store: s, keeper: k, clock: view.StartClock()}
	o.view = view.New(o.clock.Now(), view.RunName(time.Now()))
	o.stores = storeReader{store: s, table: k.current, saw: k.saw}
	k.tell = func(t *damrey.Table) {
		o.view.SetTable(t)
		o.tables.Add(1)
	}
	return o
}

// run observes until ctx ends. Beats are heard from the start, what is stored is looked at once the buckets are there.
func (o *observer) run(ctx context.Context, ready <-chan struct{}) {
	for subject, take := range map[string]func(*nats.Msg){
		o.store.prefix + ".event.undelivered.*.*.*": o.undelivered,
		o.store.prefix + ".event.route.changed.*":   o.changed,
		o.store.prefix + ".event.stream.deleted.*":  o.deleted,
		o.store.prefix + ".alarm.*.*.*":             o.alarm,
	} {
		sub, err := o.store.nc.Subscribe(subject, take)
		if err != nil {
			o.store.log.Error().Err(err).Str("subject", subject).Msg("what the fabric tells of itself is not heard")
			continue
		}
		defer func() { _ = sub.Unsubscribe() }() // fails only on a closed connection
	}
	beats := make(chan *nats.Msg, maxBeats)
	subject := report.Subject(o.store.prefix, "*", "*")
	if sub, err := o.store.nc.ChanSubscribe(subject, beats); err == nil {
		defer func() { _ = sub.Unsubscribe() }() // fails only on a closed connection
	} else {
		o.store.log.Error().Err(err).Str("subject", subject).Msg("beats are not heard")
	}
	var parts sync.WaitGroup
	parts.Go(func() { o.hear(ctx, beats) })
	parts.Go(func() { o.tick(ctx) })
	parts.Go(func() { o.publish(ctx) })
	parts.Go(func() { o.look(ctx, ready) })
	parts.Wait()
}

func (o *observer) tick(ctx context.Context) {
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			o.view.Tick(o.clock.Now(), o.store.nc.IsConnected())
			o.tellAlarms()
		case <-ctx.Done():
			return
		}
	}
}

// hear takes one that comes alone at once, and those that come close to one another together: to wake up for each of hundreds
// in a second costs nearly as much as reading them.
func (o *observer) hear(ctx context.Context, beats <-chan *nats.Msg) {
	for {
		select {
		case m := <-beats:
			o.beat(m)
		case <-ctx.Done():
			return
		}
		for range len(beats) {
			o.beat(<-beats)
		}
		select {
		case <-time.After(hearEvery):
		case <-ctx.Done():
			return
		}
	}
}

func (o *observer) beat(m *nats.Msg) {
	now := o.clock.Now()
	tokens := strings.Split(m.Subject, ".")
	worker, instance := tokens[len(tokens)-2], tokens[len(tokens)-1]
	b, err := o.parser.Parse(worker, instance, m.Data)
	if err != nil {
		o.view.Refuse(now, worker, instance, err)
		return
	}
	_ = o.view.Hear(now, b) // counted and told there
}

func (o *observer) undelivered(m *nats.Msg) {
	now := o.clock.Now()
	var e damrey.Undelivered
	err := json.Unmarshal(m.Data, &e)
	if err == nil {
		err = o.view.Undelivered(now, e.Route, e.Count, e.Why)
	}
	if err != nil {
		o.store.log.Debug().Err(err).Str("subject", shorten(m.Subject)).Msg("an event cannot be read")
	}
}

func (o *observer) changed(m *nats.Msg) {
	var e routeChanged
	err := json.Unmarshal(m.Data, &e)
	if err == nil {
		err = damrey.CheckWorkerName(e.Worker)
	}
	words := map[string]string{opAdd: "was added", opChange: "was changed", opDelete: "was removed"}
	if err != nil || words[e.Op] == "" {
		o.store.log.Debug().Err(err).Str("subject", shorten(m.Subject)).Msg("an event cannot be read")
		return
	}
	o.view.Journal().Add(time.Now(), api.Event{
		Kind: api.EventTableChanged, Worker: e.Worker,
		Text: fmt.Sprintf("worker %s %s, revision %d", e.Worker, words[e.Op], e.Revision),
	})
}

// deleted notes that a stream is gone, and what was lost with it.
func (o *observer) deleted(m *nats.Msg) {
	var e streamDeleted
	if err := json.Unmarshal(m.Data, &e); err != nil || !o.keeper.isOwn(e.Stream) {
		o.store.log.Debug().Err(err).Str("subject", shorten(m.Subject)).Msg("an event cannot be read")
		return
	}
	worker, _ := strings.CutPrefix(e.Stream, bucket.JobsStream(o.store.prefix, ""))
	if damrey.CheckWorkerName(worker) != nil || worker == e.Stream {
		worker = ""
	}
	o.view.Journal().Add(time.Now(), api.Event{
		Kind: api.EventStreamDeleted, Worker: worker,
		Text: fmt.Sprintf("stream %s was deleted by somebody; it is made again, and the %s in it are lost, about %d when last looked at", e.Stream, shorten(e.What), e.Messages),
	})
}

// alarm notes one that the proxy whose turn it is tells of.
func (o *observer) alarm(m *nats.Msg) {
	var a api.Alarm
	if err := json.Unmarshal(m.Data, &a); err != nil {
		o.store.log.Debug().Err(err).Str("subject", shorten(m.Subject)).Msg("an alarm cannot be read")
		return
	}
	e := api.Event{Kind: api.EventAlarmResolved, Worker: a.Worker, Text: a.Rule + ": " + a.Text}
	if a.State == api.AlarmFiring {
		e.Kind = api.EventAlarmFiring
	}
	switch {
	case strings.Contains(a.About, "→"):
		e.Route = a.About
	case a.Worker == "":
		e.About = a.About
	}
	o.view.Journal().Add(time.Now(), e)
}

// tellAlarms tells the view which fire.
func (o *observer) tellAlarms() {
	if all, err := o.alarms(); err == nil { // else they are not known just now
		o.view.SetAlarms(all)
	}
}

// daemons are the agents and proxies that beat on other machines. What runs on this one has this clock.
func (o *observer) daemons() (others []api.Instance) {
	host, now := hostname(), o.clock.Now()
	for _, d := range append(o.view.Agents(now), o.view.Proxies(now)...) {
		if d.Host != host {
			others = append(others, d.Instance)
		}
	}
	return others
}

// publish tells on NATS of instances and agents that come and go, while this proxy is the one that tells of alarms. What
// happens before it is known which one that is waits.
func (o *observer) publish(ctx context.Context) {
	journal := o.view.Journal()
	last := journal.Last()
	for _, known := o.tells(); !known; _, known = o.tells() {
		select {
		case <-time.After(hearEvery):
		case <-ctx.Done():
			return
		}
	}
	for {
		events, next, missed, more := journal.After(last, 100)
		if missed > 0 {
			o.store.log.Warn().Uint64("events", missed).Msg("more happened than could be told on NATS")
		}
		last = next
		for _, e := range events {
			o.publishOne(e)
		}
		if len(events) > 0 {
			continue
		}
		select {
		case <-more:
		case <-ctx.Done():
			return
		}
	}
}

func (o *observer) publishOne(e api.Event) {
	var subject string
	switch e.Kind {
	case api.EventInstanceJoined, api.EventInstanceLeft, api.EventInstanceLost, api.EventInstanceState:
		subject = fmt.Sprintf("%s.event.%s.%s.%s", o.store.prefix, e.Kind, e.Worker, e.Instance)
	case api.EventAgentJoined, api.EventAgentLeft, api.EventAgentLost:
		subject = fmt.Sprintf("%s.event.%s.%s", o.store.prefix, e.Kind, e.Instance)
	default:
		return
	}
	if mine, _ := o.tells(); !mine {
		return
	}
	data, err := json.Marshal(e)
	if err == nil {
		err = o.store.nc.Publish(subject, data)
	}
	if err != nil {
		o.store.log.Debug().Err(err).Str("subject", subject).Msg("an event was not published")
	}
}

// look reads every now and then what is stored.
func (o *observer) look(ctx context.Context, ready <-chan struct{}) {
	select {
	case <-ready:
	case <-ctx.Done():
		return
	}
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		stores, dead, err := o.stores.read(ctx)
		if err == nil {
			o.view.SetStores(o.clock.Now(), stores, dead)
		} else if ctx.Err() == nil {
			o.store.log.Debug().Err(err).Msg("what is stored cannot be looked at; the last figures stay")
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
