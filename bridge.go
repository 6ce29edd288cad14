package damrey

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/damrey/damrey/internal/report"
	"github.com/damrey/damrey/internal/wire"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"
)

// HeaderSend on a request to <prefix>.out.<from>.<type>, with the value
// [SendConfirm], makes it a send whose fate is answered: an empty RESPONSE when
// an instance's subscription took it, STOP when nobody did.
const (
	HeaderSend  = "Damrey-Send"
	SendConfirm = "confirm"
)

// BridgeWorker is what a bridge calls itself in traces and when it says which
// messages it has passed on.
const BridgeWorker = reserved + "bridge"

// Bridge routes the output of programs without the library, which they publish
// on <prefix>.out.<from>.<type>. An agent runs one for its machine, the proxy
// one for the clients of the broker itself.
type Bridge struct {
	cfg   BridgeConfig
	nc    *nats.Conn
	link  *link
	log   *throttledLog
	stats counters
	trace tracer
	ready chan struct{}

	work      atomic.Uint64          // nanoseconds, of passing messages on
	lastError atomic.Pointer[string] // why one could not be
}

// BridgeConfig says what a [Bridge] needs.
type BridgeConfig struct {
	// Prefix of the fabric; default [DefaultPrefix].
	Prefix string
	// Rc is the number of attempts to push a message; default 3.
	Rc int
	// Timeout is the budget of a request whose reply subject does not say one;
	// default 5 s.
	Timeout time.Duration
	// Table gives the routing table; nil as long as there is none.
	Table func() *Table
	// ReplyPrefixes allows reply subjects besides _INBOX. and the connection's.
	ReplyPrefixes []string
	// Tracer takes the spans of traced messages that are passed on, as [WithTracer]
	// does. Nil: nobody wants them.
	Tracer trace.TracerProvider
	// Sampling is the share, 0 to 1, of the lines that programs without the library
	// begin which are traced and kept, as [WithTraceSampling] has it.
	Sampling float64
	// Log tells of trouble. The zero value is silent.
	Log zerolog.Logger
}

// NewBridge makes a bridge on a connection that the caller closes.
func NewBridge(nc *nats.Conn, cfg BridgeConfig) *Bridge {
	base := Config{Rc: cfg.Rc, Timeout: cfg.Timeout}.withDefaults()
	cfg.Rc, cfg.Timeout = base.Rc, base.Timeout
	if cfg.Prefix == "" {
		cfg.Prefix = DefaultPrefix
	}
	b := &Bridge{cfg: cfg, nc: nc, log: newThrottledLog(cfg.Log), ready: make(chan struct{})}
	b.link = newLink(nc, cfg.Prefix, cfg.Rc, cfg.ReplyPrefixes, b.log, &b.stats, newOutRoutes())
	b.trace.init(cfg.Prefix, BridgeWorker, b.link.inboxToken(), cfg.Sampling, cfg.Tracer)
	b.trace.l = b.link
	return b
}

// Ready is closed when the bridge takes messages.
func (b *Bridge) Ready() <-chan struct{} { return b.ready }

// Stats is a snapshot of what the bridge has counted.
func (b *Bridge) Stats() Stats { return b.stats.snapshot() }

// Passed is what programs without the library have sent, by route, for the beats
// of whoever runs the bridge. Those programs send none.
func (b *Bridge) Passed() []report.Out { return b.link.outs.snapshot("") }

// Run bridges until ctx ends, lets what it has taken leave, and returns nil
// then. It is called once.
func (b *Bridge) Run(ctx context.Context) error {
	if err := b.link.open(); err != nil {
		return fmt.Errorf("damrey: bridge: %w", err)
	}
	defer b.link.close()
	var spans background
	spans.start(b.trace.run)
	defer spans.stop()
	sub, err := b.nc.QueueSubscribe(OutSubject(b.cfg.Prefix, "*", "*"), b.cfg.Prefix+"_bridge", b.receive)
	if err == nil {
		err = sub.SetPendingLimits(pendingLimit, pendingMemory)
	}
	if err == nil {
		err = b.flushWhenConnected(ctx)
	}
	if err != nil {
		return fmt.Errorf("damrey: bridge: %w", err)
	}
	asked, err := b.nc.Subscribe(WhereSubject(b.cfg.Prefix, BridgeWorker), b.tellWhereabouts)
	if err != nil {
		return fmt.Errorf("damrey: bridge: %w", err)
	}
	defer func() { _ = asked.Unsubscribe() }() // fails only on a closed connection
	close(b.ready)
	<-ctx.Done()
	drain(b.nc, sub, time.Second, b.log)
	flushing, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err = b.link.settleStores(flushing)
	if err == nil {
		err = b.link.flush(flushing)
	}
	if err != nil {
		b.log.Warn().Err(err).Msg("the bridge stopped with messages that were not delivered")
	}
	return nil
}

// flushWhenConnected makes sure that the broker has the subscription.
func (b *Bridge) flushWhenConnected(ctx context.Context) error {
	for ctx.Err() == nil {
		if b.nc.FlushTimeout(time.Second) == nil {
			return nil
		}
		if b.nc.IsClosed() {
			return ErrNotConnected
		}
		pause(ctx, handoverPoll)
	}
	return nil
}

// tellWhereabouts says whether a message went through here.
func (b *Bridge) tellWhereabouts(m *nats.Msg) {
	if q, ok := b.link.readQuestion(m); ok {
		b.link.answerWhere(q, m.Reply, b.link.inboxToken())
	}
}

// outgoing is one message on its way through the bridge.
type outgoing struct {
	from, typ string
	push      push
	answerTo  string // empty for a send
	trace     *incoming
}

// receive takes one message of a program without the library.
func (b *Bridge) receive(m *nats.Msg) {
	b.stats.received.Add(1)
	o := &outgoing{answerTo: m.Reply}
	now := clock()
	o.push.budget = b.cfg.Timeout
	o.trace = traceOf(m.Header, now.time())
	confirm := m.Header.Get(HeaderSend) == SendConfirm
	if t, framed := parseReply(m.Reply); framed {
		o.push.hops, o.push.budget = t.hops+1, t.budget
		o.answerTo = t.answerTo(m.Reply)
	}
	o.push.deadline = now.add(o.push.budget)
	defer func() { b.work.Add(uint64(max(0, clock().since(now)))) }()
	if o.answerTo != "" && !b.link.mayAnswer(o.answerTo) {
		b.link.refuse(o.answerTo)
		return
	}
	if err := b.prepare(o, m); err != nil {
		b.fail(o, err)
		return
	}
	b.pass(o, confirm && o.answerTo != "")
}

// prepare finds the route and makes the payload a message.
func (b *Bridge) prepare(o *outgoing, m *nats.Msg) *fabricError {
	var err error
	if o.from, o.typ, err = parseOutSubject(b.cfg.Prefix, m.Subject); err != nil {
		return &fabricError{ErrMalformed, err.Error(), ""}
	}
	at := where(o.from, o.typ, "")
	payload, count, err := asRequest(o.typ, m.Data, o.answerTo == "")
	if err != nil {
		return &fabricError{ErrMalformed, err.Error(), at}
	}
	o.push.count = count
	table := b.cfg.Table()
	seen := &view{row: table.Row(o.from)}
	route, err := seen.route(o.from, o.typ)
	if err != nil {
		return &fabricError{ErrNoRoute, err.Error(), at}
	}
	if fe := refusalOf(table, route); fe != nil {
		b.stats.paused.Add(1)
		return fe
	}
	if o.push.hops > maxHops {
		b.stats.looped.Add(1)
		return loopError(route.String())
	}
	p := &o.push
	p.route, p.subject, p.payload, p.cost = route, route.subject, payload, route.Cost
	p.kind = kindSend
	if fe := b.link.checkSize(payload, route); fe != nil {
		return fe
	}
	return nil
}

// pass pushes on. A request's answer comes past the bridge; with confirm it is
// a send, and its fate is the answer.
func (b *Bridge) pass(o *outgoing, confirm bool) {
	sp := b.trace.passing(o)
	o.push.header = sp.header()
	if o.push.route.Durable {
		b.store(o, confirm)
		sp.endSend(nil)
		return
	}
	switch {
	case confirm:
		o.push.settled = func(f fate) { b.tellFate(o, f) }
	case o.answerTo != "":
		o.push.kind, o.push.rest = kindRequest, o.answerTo
	}
	if o.push.kind == kindSend {
		b.stats.sends.Add(1)
	} else {
		b.stats.forwarded.Add(1)
	}
	err := b.link.send(context.Background(), o.push)
	sp.endSend(err)
	if err != nil {
		b.fail(o, &fabricError{ErrFailed, "could not be passed on: " + err.Error(), o.push.route.String()})
	}
}

// store stores what goes along a durable route, each message by itself.
func (b *Bridge) store(o *outgoing, confirm bool) {
	j := jobHeader{hops: o.push.hops, trace: o.push.header}
	if !confirm {
		j.reply = o.answerTo
	}
	if j.reply == "" {
		b.stats.sends.Add(uint64(o.push.count))
	} else {
		b.stats.forwarded.Add(1)
	}
	left := new(atomic.Int64)
	left.Store(int64(o.push.count))
	one := *o
	one.push.count = 1
	ended := func(err error) {
		if err != nil {
			b.fail(&one, unstored(err, o.push.route))
			return
		}
		b.link.handed.add(o.push.route, j.reply, j.hops)
		if left.Add(-1) == 0 && confirm {
			b.answer(o, Msg{RESPONSE, o.typ})
		}
	}
	deadline := max(o.push.deadline, clock().add(storeTime))
	messages := wire.NewReader(o.push.payload)
	for range o.push.count {
		msg, err := messages.Next() // prepare has read them all
		if err == nil {
			b.link.outs.of(o.push.route).left(1)
			err = b.link.queuePayload(o.push.route, wire.Append(nil, msg), j, deadline, ended)
		}
		if err != nil {
			ended(err)
		}
	}
}

func (b *Bridge) tellFate(o *outgoing, f fate) {
	switch f {
	case delivered:
		b.answer(o, Msg{RESPONSE, o.typ})
	case undelivered:
		b.link.stop(o.answerTo, o.push.route.String(), false)
	default:
		b.answer(o, (&fabricError{ErrFailed, ErrDropped.Error(), o.push.route.String()}).message(o.typ))
	}
}

// fail answers an ERROR, or tells that a send went nowhere.
func (b *Bridge) fail(o *outgoing, fe *fabricError) {
	b.stats.failed.Add(1)
	last := shorten(fe.text, maxLastError)
	b.lastError.Store(&last)
	if o.answerTo != "" {
		b.answer(o, fe.message(o.typ))
		return
	}
	b.stats.undelivered.Add(uint64(max(1, o.push.count)))
	b.log.warn("a send could not be routed", func(e *zerolog.Event) {
		e.Str("code", codeOf(fe.kind)).Str("why", fe.text).Str("where", fe.where)
	})
}

func (b *Bridge) answer(o *outgoing, m Msg) {
	b.link.answer(o.answerTo, wire.Append(nil, m), o.push.deadline)
}

// asRequest makes a payload a message: what is none becomes the one argument
// of a REQUEST. Sends may come several in one payload.
func asRequest(typ string, data []byte, several bool) (payload []byte, count int, err error) {
	msg, rest, err := wire.Next(data)
	if err != nil || len(msg) == 0 || !isTag(msg[0]) {
		return wire.Append(nil, plainRequest(typ, data)), 1, nil
	}
	for count = 1; ; count++ {
		if err := checkInbound(msg, typ); err != nil {
			return nil, 0, fmt.Errorf("message %d: %w", count, err)
		}
		if len(rest) == 0 {
			return data, count, nil
		}
		if !several {
			return nil, 0, errSeveral
		}
		if msg, rest, err = wire.Next(rest); err != nil {
			return nil, 0, fmt.Errorf("message %d: %w", count+1, err)
		}
	}
}

func isTag(s string) bool {
	switch s {
	case REQUEST, RESPONSE, ERROR, STOP, TIMEOUT:
		return true
	}
	return false
}

func plainRequest(typ string, data []byte) Msg {
	if len(data) == 0 {
		return Msg{REQUEST, typ}
	}
	return Msg{REQUEST, typ, string(data)}
}
