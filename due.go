package damrey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/damrey/damrey/internal/bucket"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// noRouteAttempts is how often a message without a route is looked at: a table
// that is being changed has one again soon.
const noRouteAttempts = 3

// due is a message that came due, in the hand of this mover.
type due struct {
	msg      jetstream.Msg
	meta     *jetstream.MsgMetadata
	schedule Schedule
	next     time.Time // zero: it is not sent again
	tried    tried
	route    *Route // nil: there is none
}

func (d *due) where() string {
	if d.route != nil {
		return d.route.String()
	}
	return where(d.schedule.From, d.schedule.Type, "")
}

// id is the same however often this message is moved, and another for each time
// that a schedule comes due.
func (d *due) id() string {
	if d.next.IsZero() {
		return d.schedule.Name()
	}
	return d.schedule.Name() + "." + strconv.FormatUint(d.meta.Sequence.Stream, 10)
}

// take moves one message on. It runs in the mover's goroutine and begins only;
// what came of it is told to ended.
func (m *Mover) take(ctx context.Context, msg jetstream.Msg) {
	m.stats.received.Add(1)
	d := &due{msg: msg}
	var err error
	if d.meta, err = msg.Metadata(); err != nil {
		m.log.warn("a message that is due does not say what it is; it comes again", func(e *zerolog.Event) { e.Err(err).Str("subject", msg.Subject()) })
		return
	}
	d.next, _ = time.Parse(time.RFC3339Nano, msg.Headers().Get(jetstream.ScheduleNextHeader)) // zero when it is purged
	if d.schedule, err = ReadSchedule(m.cfg.Prefix, msg.Subject(), msg.Headers(), msg.Data()); err != nil {
		d.schedule.From, d.schedule.Type = noName, noName
		m.bury(d, err.Error())
		return
	}
	if d.meta.NumDelivered > 1 && !m.remember(ctx, d) {
		m.comeAgain(d, jitter(moverPause))
		return
	}
	if err := m.move(d); err != nil {
		m.ended(d, err)
	}
}

// move begins to send d along its route of today. When it returns an error,
// ended is not called.
func (m *Mover) move(d *due) error {
	table := m.cfg.Table()
	if table == nil {
		return errNoTable
	}
	if _, err := decodeJob(d.msg.Data(), d.schedule.Type); err != nil {
		return Discard(fmt.Errorf("%w: %w", ErrMalformed, err))
	}
	seen := &view{row: table.Row(d.schedule.From)}
	var err error
	if d.route, err = seen.route(d.schedule.From, d.schedule.Type); err != nil {
		return err
	}
	if fe := refusalOf(table, d.route); fe != nil {
		return fe
	}
	if fe := m.link.checkSize(d.msg.Data(), d.route); fe != nil {
		return fe
	}
	m.stats.sends.Add(1)
	if d.route.Durable {
		return m.store(d)
	}
	return m.link.send(context.Background(), push{
		route: d.route, subject: d.route.subject, payload: d.msg.Data(), count: 1, kind: kindSend,
		cost: d.route.Cost, budget: moverBudget, header: d.schedule.trace, settled: tell(func(err error) { m.ended(d, err) }, d.route),
	})
}

var errNoTable = errors.New("the routing table has not been read yet")

func (m *Mover) store(d *due) error {
	j := jobHeader{id: d.id(), trace: d.schedule.trace, patient: true}
	if d.schedule.ID != "" && d.next.IsZero() {
		j.id, j.given = "", d.schedule.ID
	}
	return m.link.queuePayload(d.route, d.msg.Data(), j, clock().add(storeTime), func(err error) { m.ended(d, err) })
}

// ended removes what was moved, and lets the rest come again or buries it.
func (m *Mover) ended(d *due, err error) {
	switch {
	case err == nil:
		m.moved(d)
	case errors.Is(err, ErrClosed), errors.Is(err, errNoTable), errors.Is(err, errHeldFull), m.link.isClosed(), !m.link.state.up.Load():
		// That is not the message's fault.
		m.comeAgain(d, jitter(moverPause))
	default:
		m.failed(d, err)
	}
}

func (m *Mover) moved(d *due) {
	if err := d.msg.Ack(); err != nil {
		m.log.warn("a message that was due was moved and could not be acknowledged; it comes again", func(e *zerolog.Event) { e.Err(err).Str("route", d.where()) })
	}
	if !d.next.IsZero() {
		m.note(d, "")
	}
}

// failed lets a message come again after a while, or buries it after its last
// attempt. One that is held up has not failed, however long that lasts.
func (m *Mover) failed(d *due, err error) {
	attempts, first := DefaultAttempts, DefaultBackoff
	if d.route != nil {
		attempts, first = d.route.Attempts, d.route.Backoff
	}
	if errors.Is(err, ErrNoRoute) {
		attempts = noRouteAttempts
	}
	var wait time.Duration
	if isHeldUp(err) {
		d.tried.Held++
		wait = min(doubling(first, d.tried.Held), jitter(max(first, heldPause)))
	} else {
		d.tried.Failures++
		if hopeless(err) || d.tried.Failures >= attempts {
			m.bury(d, err.Error())
			return
		}
		wait = doubling(first, d.tried.Failures)
	}
	m.note(d, err.Error())
	m.log.warn("a message that is due could not be moved on and is tried again", func(e *zerolog.Event) {
		e.Err(err).Str("route", d.where()).Str("id", d.id()).Int("failures", d.tried.Failures).Int("attempts", attempts).Stringer("again_in", wait)
	})
	m.write(d, err.Error(), func() { m.comeAgain(d, wait) })
}

// hopeless is what trying again does not change.
func hopeless(err error) bool {
	var given *discardError
	return errors.As(err, &given) || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrIDConflict)
}

func (m *Mover) comeAgain(d *due, wait time.Duration) {
	m.stats.postponed.Add(1)
	if err := d.msg.NakWithDelay(wait); err != nil {
		m.log.warn("a message that is due could not be postponed; it comes again soon", func(e *zerolog.Event) { e.Err(err).Str("route", d.where()) })
	}
}

// remember reads what is known of the failures before. False when the broker
// does not say.
func (m *Mover) remember(ctx context.Context, d *due) bool {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	subject := triedSubject(m.cfg.Prefix, dueToken, d.meta.Sequence.Stream)
	got, err := m.link.nc.RequestWithContext(ctx, directGet(bucket.TriedStream(m.cfg.Prefix), subject), nil)
	if err != nil {
		m.log.warn("what is known of a due message's failures cannot be read", func(e *zerolog.Event) { e.Err(err) })
		return false
	}
	var t tried
	if json.Unmarshal(got.Data, &t) == nil && t.ID == d.id() && t.Stored.Equal(d.meta.Timestamp) {
		d.tried = t
	}
	return true
}

// write stores what is known of the failures, and goes on then, also when it
// cannot be stored.
func (m *Mover) write(d *due, why string, then func()) {
	d.tried.ID, d.tried.Stored, d.tried.Error, d.tried.Instance, d.tried.At = d.id(), d.meta.Timestamp.UTC(), why, m.cfg.Name, time.Now().UTC()
	m.put(triedSubject(m.cfg.Prefix, dueToken, d.meta.Sequence.Stream), d, d.tried, then)
}

// note keeps for those who look how the schedule's last time went.
func (m *Mover) note(d *due, why string) {
	m.put(FiringSubject(m.cfg.Prefix, d.schedule.key), d, Firing{At: time.Now().UTC(), Next: d.next, Error: why}, func() {})
}

func (m *Mover) put(subject string, d *due, what any, then func()) {
	data, err := json.Marshal(what)
	if err != nil {
		data = nil // strings, numbers and times always marshal
	}
	msg := &nats.Msg{Subject: subject, Data: data, Header: nats.Header{HeaderID: {fmt.Sprintf("%s.%d", m.link.inboxToken(), m.link.jobs.Add(1))}}}
	done := func(err error) {
		if err != nil {
			m.log.warn("how a message that is due fared could not be stored; it may be tried more often than it should", func(e *zerolog.Event) { e.Err(err).Str("route", d.where()) })
		}
		then()
	}
	if err := m.link.store(context.Background(), storing{msg: msg, at: d.where(), deadline: clock().add(storeTime), done: done}); err != nil {
		done(err)
	}
}

// bury stores a message with the dead letters, and removes it here only then.
func (m *Mover) bury(d *due, why string) {
	to := noName
	if d.route != nil {
		to = d.route.To
	}
	letter := &nats.Msg{
		Subject: DeadSubject(m.cfg.Prefix, to, d.schedule.Type, d.schedule.From), Data: d.msg.Data(), Header: nats.Header{},
	}
	for name, values := range d.msg.Headers() {
		if !strings.HasPrefix(name, "Nats-") { // what was asked of JetStream then would be asked again
			letter.Header[name] = values
		}
	}
	sequence := strconv.FormatUint(d.meta.Sequence.Stream, 10)
	for name, value := range map[string]string{
		HeaderID:           fmt.Sprintf("dead.%s.%s.%x.%s", dueToken, sequence, d.meta.Timestamp.UnixNano(), d.id()),
		HeaderOriginalID:   d.id(),
		HeaderDeadError:    headerText(why),
		HeaderDeadFailures: strconv.Itoa(d.tried.Failures),
		HeaderDeadHandouts: strconv.FormatUint(d.meta.NumDelivered, 10),
		HeaderDeadInstance: m.cfg.Name,
		HeaderDeadWorker:   reserved + "proxy",
		HeaderDeadSequence: sequence,
		HeaderDeadTime:     time.Now().UTC().Format(time.RFC3339Nano),
	} {
		letter.Header.Set(name, value)
	}
	fitLetter(letter, m.link.state.maxPayload.Load())
	done := func(err error) { m.buried(d, why, err) }
	err := m.link.store(context.Background(), storing{msg: letter, at: d.where(), deadline: clock().add(storeTime), done: done})
	if err != nil {
		done(err)
	}
}

func (m *Mover) buried(d *due, why string, err error) {
	if err != nil {
		m.log.Error().Err(err).Str("route", d.where()).Str("id", d.id()).
			Msg("a message that is due is to go to the dead letters and they cannot be written; it stays where it is")
		m.comeAgain(d, jitter(storeTime))
		return
	}
	m.stats.dead.Add(1)
	m.log.warn("a message that was due went to the dead letters", func(e *zerolog.Event) {
		e.Str("route", d.where()).Str("id", d.id()).Str("why", why).Int("failures", d.tried.Failures)
	})
	if d.schedule.key != "" {
		m.note(d, why)
	}
	if err := d.msg.Ack(); err != nil {
		m.log.warn("a dead letter was written and its message could not be removed", func(e *zerolog.Event) { e.Err(err) })
	}
}
