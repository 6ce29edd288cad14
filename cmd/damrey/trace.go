package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/report"
)

const traceHelp = `Send one traced request as the worker FROM would, along its route for TYPE, and draw its hops: first as
they end, then all of them with the one that took longest, the answer, and the total.

  damrey trace entry add 3 4
  damrey trace ls --outcome timeout
  damrey trace show 0af7651916cd43dd8448eb211c80319c

  send     from when it was sent until it was answered
  wait     in the queue of an instance, or stored at the broker
  handle   in the handler
  forward  until the handler's output had left for the next worker

It goes on until each message of it was handled, also those that are sent beside the answer, for --timeout at most; a
message that is stored for a worker without instances is not waited for. What is unfinished then it says, and names no
slowest part: ` + "`damrey trace show`" + ` has the rest later.

OWN is what of a span's time none below it explains: its own work, or the way. Times of different machines are by their
own clocks. It ends as ` + "`damrey request`" + ` does; a worker called ls or show needs -- before its name.`

func newTraceCommand(a *app) *cobra.Command {
	var f askFlags
	var send bool
	cmd := &cobra.Command{
		Use:   "trace FROM TYPE [ARG]...",
		Short: "Follow one message through the network, and find the slow hop",
		Long:  traceHelp,
		Args:  fromTypeArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.nats.config.Log = a.log.Level(zerolog.WarnLevel)
			if err := f.check(args[0], args[1]); err != nil {
				return err
			}
			return a.runTrace(cmd.Context(), &f, args, send)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&send, "send", false, "send it, and wait for no answer of a worker")
	cmd.AddCommand(newTraceListCommand(a), newTraceShowCommand(a))
	return cmd
}

// traced is the result for programs.
type traced struct {
	Answer damrey.Msg `json:"answer"`
	Trace  api.Trace  `json:"trace"`
}

func (a *app) runTrace(ctx context.Context, f *askFlags, args []string, send bool) error {
	c, err := f.open(args[0])
	if err != nil {
		return err
	}
	defer c.nc.Close()
	t := newTracing(c.nc, f.prefix, args[0], args[1])
	if f.out.forPeople() {
		t.seen = func(s api.Span) { fmt.Fprintln(a.stdout, t.line(s)) }
	}
	if err := t.listen(); err != nil {
		return err
	}
	header := t.header()
	what := "request"
	if send {
		header.Set(damrey.HeaderSend, damrey.SendConfirm)
		what = "message"
	}
	t.send, t.timeout, t.begin = send, f.timeout, time.Now()
	r, err := c.ask(ctx, args, header)
	if err != nil {
		return err
	}
	trace := t.finish(r)
	if !f.out.forPeople() {
		return errors.Join(f.out.print(a.stdout, traced{r.msg, trace}), r.err(what))
	}
	if err := a.printTrace(trace); err != nil {
		return err
	}
	for _, text := range t.away {
		fmt.Fprintln(a.stdout, text)
	}
	if !send && r.err("") == nil {
		fmt.Fprintf(a.stdout, "answer: %s\n", messageText(r.msg))
	}
	return r.err(what)
}

// tracing gathers the spans of one trace as they come.
type tracing struct {
	nc        *nats.Conn
	prefix    string
	from, typ string
	id, span  string
	send      bool // no answer was asked for
	timeout   time.Duration
	begin     time.Time
	came      chan api.Span
	seen      func(api.Span) // not nil: called with each as it comes
	all       []api.Span
	away      []string // why it is not waited for what is unfinished
	sub       *nats.Subscription
}

// quiet is how long nothing may come until a trace counts as whole in which no message is unfinished, and whole how long
// that is waited for at least.
const (
	quiet = 300 * time.Millisecond
	whole = 2 * time.Second
)

func newTracing(nc *nats.Conn, prefix, from, typ string) *tracing {
	return &tracing{nc: nc, prefix: prefix, from: from, typ: typ, id: hexDigits(16), span: hexDigits(8), came: make(chan api.Span, 1024)}
}

// hexDigits are random, and not all zero.
func hexDigits(bytes int) string {
	b := make([]byte, bytes)
	for i := range b {
		b[i] = byte(1 + rand.IntN(255))
	}
	return hex.EncodeToString(b)
}

// header asks every hop to tell of itself.
func (t *tracing) header() nats.Header {
	return nats.Header{
		"traceparent": {"00-" + t.id + "-" + t.span + "-01"},
		"tracestate":  {report.StateKey + "=" + report.Asked},
	}
}

func (t *tracing) listen() error {
	var err error
	t.sub, err = t.nc.Subscribe(report.TraceSubject(t.prefix, t.id), func(m *nats.Msg) {
		s, err := report.ParseSpan(m.Data)
		if err != nil {
			return // not ours
		}
		if t.seen != nil {
			t.seen(s)
		}
		select {
		case t.came <- s:
		default: // one trace has a few hundred at most
		}
	})
	if err == nil {
		err = t.nc.Flush()
	}
	if err != nil {
		return fmt.Errorf("listen for the trace: %w", err)
	}
	return nil
}

// finish tells of the message itself, waits for what still comes, and puts the trace together.
func (t *tracing) finish(r reply) api.Trace {
	took := time.Since(t.begin)
	end := time.NewTimer(max(whole, t.timeout-took))
	defer end.Stop()
	for waiting := true; waiting; {
		still := time.NewTimer(quiet)
		select {
		case s := <-t.came:
			t.all = append(t.all, s)
		case <-still.C:
			waiting = t.mayGoOn(append(slices.Clone(t.all), t.own(r, took)))
		case <-end.C:
			waiting = false
		}
		still.Stop()
	}
	_ = t.sub.Unsubscribe() // fails only on a closed connection
	own := t.own(r, took)
	t.all = append(t.all, own)
	t.publish(own)
	return api.NewTrace(t.id, t.all, 0)
}

// mayGoOn says whether more is worth waiting for.
func (t *tracing) mayGoOn(spans []api.Span) bool {
	open := api.Unfinished(spans)
	return len(open) > 0 && time.Since(t.begin) < t.timeout && !t.allAway(open)
}

// allAway says that nobody is there who could go on with it: each is stored, and its worker has no instance. It notes that.
func (t *tracing) allAway(open []api.Span) bool {
	t.away = nil
	for _, s := range open {
		if !s.Stored || t.hasInstance(s.To) {
			t.away = nil
			return false
		}
		t.away = append(t.away, fmt.Sprintf("%s: it is stored, and handled once an instance of %s is there; `damrey worker get %[2]s` and `nats micro ls` show more",
			oneLine(s.Route(), 200), oneLine(s.To, 64)))
	}
	return true
}

// hasInstance asks as `nats micro ping` does. Who does not answer in time takes no message in that time either.
func (t *tracing) hasInstance(worker string) bool {
	_, err := t.nc.Request(micro.APIPrefix+"."+micro.PingVerb.String()+"."+worker, nil, quiet)
	return err == nil
}

// own is the span of the message that this program sent. Who sends through the bridge does not know where to. Of a TIMEOUT
// it is as long as the answer had: how long this program looked out for it says nothing of the message.
func (t *tracing) own(r reply, took time.Duration) api.Span {
	if r.msg.Tag() == damrey.TIMEOUT {
		took = min(took, r.spent)
	}
	s := api.Span{
		ID: t.span, Kind: report.KindSend, From: t.from, Type: t.typ, Worker: t.from, Instance: "damrey trace",
		Begin: t.begin.UTC(), Duration: float64(took) / float64(time.Millisecond), Outcome: outcomeOf(r), Kept: report.Asked,
	}
	s.Answered = !t.send && s.Outcome == report.OK
	if err := r.err("message"); err != nil {
		s.Error = err.Error()
	}
	for _, other := range t.all {
		if other.From == t.from && other.Type == t.typ {
			s.To = other.To
			break
		}
	}
	return s
}

func outcomeOf(r reply) string {
	switch r.msg.Tag() {
	case damrey.RESPONSE:
		return report.OK
	case damrey.STOP:
		return report.Stop
	case damrey.TIMEOUT:
		return report.Timeout
	}
	return report.Error
}

// publish lets the fabric keep it with the others. Should it not get there, the others are shown without it.
func (t *tracing) publish(s api.Span) {
	data, err := report.FormatSpan(s)
	if err == nil {
		err = t.nc.Publish(report.TraceSubject(t.prefix, t.id), data)
	}
	if err == nil {
		_ = t.nc.FlushTimeout(time.Second)
	}
}

// line is one span as it ends.
func (t *tracing) line(s api.Span) string {
	text := fmt.Sprintf("%10s  %s%-7s  %s  %s", "+"+shortTime(s.End().Sub(t.begin)), strings.Repeat("  ", min(s.Hop, 20)), s.Kind, oneLine(routeText(s.Route()), 200), shortMS(s.Duration))
	if s.Outcome != report.OK {
		text += "  " + oneLine(outcomeText(s), 200)
	}
	return text
}
