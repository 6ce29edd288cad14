package proxyd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/bucket"
	"github.com/damrey/damrey/internal/cron"
	"github.com/damrey/damrey/internal/wire"
)

const (
	schedulePageBytes = 4 << 20
	schedulePageTime  = 2 * time.Second
)

// schedules is the stream of messages that are sent later.
type schedules struct {
	store *store
	table *table
}

// add stores a schedule. Fresh says that it was not there before.
func (l *schedules) add(ctx context.Context, s damrey.Schedule) (stored api.Schedule, fresh bool, err error) {
	if err := l.checkRoute(ctx, s); err != nil {
		return stored, false, err
	}
	if err := l.store.refuse(); err != nil {
		return stored, false, err
	}
	ctx, cancel, err := l.store.bound(ctx)
	if err != nil {
		return stored, false, err
	}
	defer cancel()
	version := l.store.nc.ConnectedServerVersion()
	err = bucket.NeedsLater(version)
	if err == nil && !s.Once() {
		err = bucket.NeedsRepeat(version)
	}
	if err != nil {
		return stored, false, problem(http.StatusNotImplemented, "%v", err)
	}
	_, err = l.store.js.PublishMsg(ctx, s.Message(l.store.prefix, nuid.Next()))
	if err = l.written(err, s); err != nil && !errors.Is(err, errConflict) {
		return stored, false, l.store.explain(err)
	}
	fresh = err == nil
	stored, err = l.compare(ctx, s)
	return stored, fresh, away(err)
}

// written is what became of storing a schedule.
func (l *schedules) written(err error, s damrey.Schedule) error {
	if gone(err) {
		return fmt.Errorf("%w: stream %s is missing; the proxy makes it soon", errAway, bucket.LaterStream(l.store.prefix))
	}
	refusal, refused := errors.AsType[*jetstream.APIError](err)
	if refused && refusal.ErrorCode == jetstream.JSErrCodeSchedulePatternInvalid {
		return problem(http.StatusUnprocessableEntity, "the broker refuses %q (%s): %s; %s", s.Asked, s.Pattern, refusal.Description, cron.Example)
	}
	return written(err)
}

// compare reads what is stored under the schedule's id; 409 when that is another.
func (l *schedules) compare(ctx context.Context, s damrey.Schedule) (stored api.Schedule, err error) {
	stream, err := l.store.js.Stream(ctx, bucket.LaterStream(l.store.prefix))
	if err != nil {
		return stored, err
	}
	m, err := stream.GetLastMsgForSubject(ctx, damrey.LaterSubject(l.store.prefix, s.Key()))
	if errors.Is(err, jetstream.ErrMsgNotFound) { // it came due meanwhile
		return l.describe(ctx, s, time.Now()), nil
	}
	if err != nil {
		return stored, err
	}
	if m.Header.Get(damrey.HeaderContent) != s.Content() {
		return stored, problem(http.StatusConflict, "there is another schedule %q (%s); remove it with `damrey schedule rm %s`, or use another id",
			s.ID, m.Header.Get(damrey.HeaderAsked), s.ID)
	}
	return l.read(ctx, m), nil
}

// checkRoute refuses a message that would go nowhere today, which mostly is a slip.
func (l *schedules) checkRoute(ctx context.Context, s damrey.Schedule) error {
	e, err := l.table.get(ctx, s.From)
	switch {
	case err != nil:
		return err
	case e == nil:
		return badSchedule("from", s.From, "worker %q is not registered; type `damrey worker add %s --command %s=WORKER` first", s.From, s.From, s.Type)
	case e.damage != nil:
		return badSchedule("from", s.From, "the entry of worker %q cannot be read: %v; put it again with `damrey worker chg %s`", s.From, e.damage, s.From)
	case damrey.NewTable(l.store.prefix, []damrey.Registration{e.reg}, nil).Row(s.From).Route(s.Type) == nil:
		return badSchedule("type", s.Type, "worker %q has no route for type %q; type `damrey worker chg %s --command %s=WORKER` first",
			s.From, s.Type, s.From, s.Type)
	}
	return nil
}

// cancel removes what waits under an id, and what is due of it.
func (l *schedules) cancel(ctx context.Context, id string) error {
	ctx, cancel, err := l.store.bound(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	return away(damrey.CancelSchedule(ctx, l.store.js, l.store.prefix, id))
}

// list reads up to limit schedules behind a sequence.
func (l *schedules) list(ctx context.Context, limit int, after uint64) (list api.ScheduleList, err error) {
	list.Schedules = []api.Schedule{}
	ctx, cancel, err := l.store.bound(ctx)
	if err != nil {
		return list, err
	}
	defer cancel()
	stream, err := l.store.js.Stream(ctx, bucket.LaterStream(l.store.prefix))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return list, nil
	}
	if err != nil {
		return list, away(err)
	}
	state := stream.CachedInfo().State
	list.Total = state.Msgs
	enough := time.Now().Add(schedulePageTime)
	// A stream that is a work queue has one consumer for each message, the mover's: it is read one by one.
	for size := 0; after < state.LastSeq; {
		m, err := stream.GetMsg(ctx, after+1, jetstream.WithGetMsgSubject(">"))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		}
		if err != nil {
			return list, away(err)
		}
		list.Schedules = append(list.Schedules, l.read(ctx, m))
		after, size = m.Sequence, size+len(m.Data)
		if after < state.LastSeq && (len(list.Schedules) >= limit || size >= schedulePageBytes || time.Now().After(enough)) {
			list.Next = after
			break
		}
	}
	return list, nil
}

// read describes what is stored. Somebody may have written it by hand.
func (l *schedules) read(ctx context.Context, m *jetstream.RawStreamMsg) api.Schedule {
	s, err := damrey.ReadSchedule(l.store.prefix, m.Subject, m.Header, m.Data)
	d := l.describe(ctx, s, m.Time)
	d.Sequence = m.Sequence
	if err != nil {
		d.Error = err.Error()
	}
	return d
}

func (l *schedules) describe(ctx context.Context, s damrey.Schedule, created time.Time) api.Schedule {
	d := api.Schedule{
		ID: s.Name(), From: s.From, Type: s.Type, Size: len(s.Payload), Asked: s.Asked, Due: s.Pattern == "", Created: created.UTC(),
	}
	if msg, err := wire.Decode(s.Payload); err == nil && utf8.ValidString(strings.Join(msg, "")) {
		d.Message = msg
	} else {
		d.Text = textOf(s.Payload)
	}
	last := l.lastFiring(ctx, s)
	d.Error = last.Error
	if !last.At.IsZero() {
		d.Last = &last.At
	}
	if next := nextOf(s, created, last.Next, time.Now()); !next.IsZero() {
		next = next.UTC()
		d.Next = &next
	}
	return d
}

// lastFiring is zero when nothing is known of it.
func (l *schedules) lastFiring(ctx context.Context, s damrey.Schedule) (f damrey.Firing) {
	stream := bucket.TriedStream(l.store.prefix)
	m, err := l.store.nc.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+stream+"."+damrey.FiringSubject(l.store.prefix, s.Key()), nil)
	if err == nil && m.Header.Get("Status") == "" {
		_ = json.Unmarshal(m.Data, &f) // what cannot be read is not known
	}
	return f
}

// nextOf is when a schedule is due, as the broker reckons: every counts from when it was stored, or from the last time.
func nextOf(s damrey.Schedule, created, known, now time.Time) time.Time {
	switch {
	case s.Pattern == "":
		return time.Time{}
	case known.After(now):
		return known
	case s.Once():
		at, _ := time.Parse(time.RFC3339Nano, strings.TrimPrefix(s.Pattern, damrey.AtPattern))
		return at
	case strings.HasPrefix(s.Pattern, damrey.EveryPattern):
		d, err := time.ParseDuration(strings.TrimPrefix(s.Pattern, damrey.EveryPattern))
		if err != nil || d <= 0 {
			return time.Time{}
		}
		next := created.Round(time.Second).Add(d)
		if now.After(next) {
			next = next.Add((now.Sub(next)/d + 1) * d)
		}
		return next
	}
	pattern, err := cron.Parse(s.Pattern)
	zone, zoneErr := time.LoadLocation(s.TimeZone)
	if err != nil || zoneErr != nil {
		return time.Time{}
	}
	return pattern.Next(now, zone)
}
