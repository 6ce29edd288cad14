package damrey_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/report"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// spans gathers what is published of traces, by trace.
type spans struct {
	mu  sync.Mutex // guards all
	all map[string][]report.Span
}

func (f *fabric) spans() *spans {
	f.t.Helper()
	s := &spans{all: make(map[string][]report.Span)}
	nc := f.connect()
	_, err := nc.Subscribe(report.TraceSubject(damrey.DefaultPrefix, "*"), func(m *nats.Msg) {
		one, err := report.ParseSpan(m.Data)
		if err != nil {
			f.t.Errorf("%s: %v", m.Data, err)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		id := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
		s.all[id] = append(s.all[id], one)
	})
	must(f.t, err)
	must(f.t, nc.Flush())
	return s
}

// trace waits until a trace has n spans, and gives them.
func (s *spans) trace(t *testing.T, n int) []report.Span {
	t.Helper()
	var found []report.Span
	eventually(t, "a trace is whole", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, one := range s.all {
			if len(one) >= n {
				found = append(found[:0], one...)
				return true
			}
		}
		return false
	})
	return found
}

func (s *spans) count() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.all {
		n += len(one)
	}
	return n
}

// mustBeTree checks that exactly one span has no parent, and that all others
// have one of the trace.
func mustBeTree(t *testing.T, all []report.Span) (root report.Span) {
	t.Helper()
	ids := make(map[string]bool)
	for _, s := range all {
		if ids[s.ID] {
			t.Errorf("two spans are called %s", s.ID)
		}
		ids[s.ID] = true
	}
	roots := 0
	for _, s := range all {
		switch {
		case s.Parent == "":
			roots, root = roots+1, s
		case !ids[s.Parent]:
			t.Errorf("the parent of %s %s is not there", s.Kind, s.Route())
		}
	}
	if roots != 1 {
		t.Errorf("%d spans have no parent, not one: %+v", roots, all)
	}
	return root
}

// routesOf are the routes of the spans of one kind.
func routesOf(all []report.Span, kind string) map[string]int {
	n := make(map[string]int)
	for _, s := range all {
		if s.Kind == kind {
			n[s.Route()]++
		}
	}
	return n
}

func forward(typ string) damrey.HandlerFunc {
	return func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		return damrey.NewRequest(typ, in.Args()...), nil
	}
}

// lineOfThree registers entry → add → square → log, the middle one as told.
func (f *fabric) lineOfThree(middle damrey.Command, opts ...damrey.Option) *damrey.Instance {
	f.register("entry", to("add", "add"))
	f.register("add", middle)
	f.register("square", to("log", "log"))
	f.register("log")
	f.worker("add", forward("square"), opts...)
	f.worker("square", forward("log"), opts...)
	f.worker("log", echo, opts...)
	return f.worker("entry", echo, append(opts, damrey.WithTraceSampling(1))...)
}

func TestTrace_OneTreeOverThreeHops(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	seen := f.spans()
	entry := f.lineOfThree(to("square", "square"))
	_, err := entry.Request(f.context(), "add", "1")
	must(t, err)
	all := seen.trace(t, 9) // a send, three waits and handlers, two forwards
	if len(all) != 9 {
		t.Errorf("%d spans, not 9: %+v", len(all), all)
	}
	root := mustBeTree(t, all)
	if root.Kind != report.KindSend || root.Route() != "entry→add→add" || root.Outcome != report.OK || root.Kept != report.Sampled {
		t.Errorf("the first span is %+v", root)
	}
	for _, kind := range []string{report.KindWait, report.KindHandle} {
		if got := routesOf(all, kind); len(got) != 3 || got["square→log→log"] != 1 {
			t.Errorf("%s: %v", kind, got)
		}
	}
	if got := routesOf(all, report.KindForward); len(got) != 2 || got["add→square→square"] != 1 {
		t.Errorf("forwards: %v", got)
	}
}

// The hop at which nobody was there is marked, and not only the request as a whole.
func TestTrace_MarksTheHopThatNobodyTook(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	seen := f.spans()
	f.register("entry", to("add", "add"))
	f.register("add", to("square", "square"))
	f.register("square")
	f.worker("add", forward("square"))
	entry := f.worker("entry", echo, damrey.WithTraceSampling(1))
	got, err := entry.Request(f.context(), "add", "1")
	if err == nil {
		t.Fatalf("answered %q", got)
	}
	all := seen.trace(t, 5) // a send, a wait and a handler, a forward, and what became of it
	mustBeTree(t, all)
	for _, s := range all {
		if s.Kind == report.KindForward && s.Outcome == report.Stop && s.Route() == "add→square→square" && s.Error != "" {
			return
		}
	}
	t.Errorf("no hop is marked: %+v", all)
}

func TestTrace_OneTreeAlongADurableRoute(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.jobs("square")
	seen := f.spans()
	middle := to("square", "square")
	middle.Delivery = damrey.Durable
	entry := f.lineOfThree(middle)
	_, err := entry.Request(f.context(), "add", "1")
	must(t, err)
	mustBeTree(t, seen.trace(t, 9))
}

// A message that waits until it is due is still of its trace, on both kinds of route.
func TestTrace_GoesOnWhenItIsDue(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.jobs("square")
	f.mover()
	durable := to("square", "square")
	durable.Delivery = damrey.Durable
	f.register("entry", to("add", "add"), durable)
	f.register("add")
	f.register("square")
	f.worker("add", echo)
	f.worker("square", echo)
	entry := f.worker("entry", echo, damrey.WithTraceSampling(1))
	for _, typ := range []string{"add", "square"} {
		seen := f.spans()
		must(t, entry.With(damrey.WithDelay(50*time.Millisecond)).Send(f.context(), typ, "1"))
		all := seen.trace(t, 3) // a send, a wait, a handler
		root := mustBeTree(t, all)
		if root.Kind != report.KindSend || root.Route() != "entry→"+typ+"→"+typ {
			t.Errorf("the first span is %+v", root)
		}
		for _, s := range all {
			if s.Kind == report.KindHandle && s.Begin.Sub(root.Begin) < 50*time.Millisecond {
				t.Errorf("handled after %v", s.Begin.Sub(root.Begin))
			}
		}
	}
}

// What a handler asks and sends itself is part of the trace.
func TestTrace_GoesThroughAHandlersOwnRequests(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	seen := f.spans()
	f.register("entry", to("add", "add"))
	f.register("add", to("square", "square"))
	f.register("square")
	add := f.instance(damrey.Config{Name: "add"})
	add.Handle("*", func(ctx context.Context, in damrey.Msg) (damrey.Msg, error) {
		type key struct{}
		return add.Request(context.WithValue(ctx, key{}, 1), "square", in.Args()...)
	})
	f.serve(add)
	f.worker("square", echo)
	entry := f.worker("entry", echo, damrey.WithTraceSampling(1))
	_, err := entry.Request(f.context(), "add", "1")
	must(t, err)
	all := seen.trace(t, 6)
	mustBeTree(t, all)
	if got := routesOf(all, report.KindSend); len(got) != 2 {
		t.Errorf("sends: %v", got)
	}
}

func TestTrace_RedeliveryLinksToTheSend(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.jobs("add")
	seen := f.spans()
	command := to("add", "add")
	command.Delivery, command.Backoff = damrey.Durable, damrey.Duration(time.Millisecond)
	f.register("entry", command)
	f.register("add")
	var once sync.Once
	f.worker("add", func(_ context.Context, in damrey.Msg) (_ damrey.Msg, err error) {
		once.Do(func() { err = errors.New("not yet") })
		return nil, err
	})
	entry := f.worker("entry", echo, damrey.WithTraceSampling(1))
	must(t, entry.Send(f.context(), "add", "1"))
	all := seen.trace(t, 5) // a send, and a wait and a handler twice
	root := mustBeTree(t, all)
	linked, failed := 0, 0
	for _, s := range all {
		if s.Kind == report.KindHandle && len(s.Links) == 1 && s.Links[0] == root.ID {
			linked++
		}
		if s.Kind == report.KindHandle && s.Outcome == report.Error && s.Error == "not yet" {
			failed++
		}
	}
	if linked != 1 || failed != 1 {
		t.Errorf("%d handlers link to the send and %d failed, not 1 and 1: %+v", linked, failed, all)
	}
}

func TestTrace_UntracedMessagesHaveNoHeader(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	var mu sync.Mutex
	headers := make(map[bool]int)
	nc := f.connect()
	_, err := nc.Subscribe("damrey.msg.>", func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		headers[len(m.Header) > 0]++
	})
	must(t, err)
	must(t, nc.Flush())
	provider := sdk.NewTracerProvider(sdk.WithSampler(sdk.NeverSample()))
	f.register("entry", to("add", "add"))
	f.register("add", to("square", "square"))
	f.register("square")
	f.worker("add", forward("square"), damrey.WithTracer(provider))
	f.worker("square", echo, damrey.WithTracer(provider))
	entry := f.worker("entry", echo, damrey.WithTracer(provider))
	ctx, unsampled := provider.Tracer("test").Start(f.context(), "unsampled")
	defer unsampled.End()
	for range 10 {
		_, err := entry.Request(ctx, "add", "1")
		must(t, err)
		must(t, entry.Send(ctx, "add", "1"))
	}
	must(t, entry.Flush(f.context()))
	eventually(t, "all went by", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return headers[false]+headers[true] >= 40
	})
	if headers[true] > 0 {
		t.Errorf("%d messages have headers, %d have none", headers[true], headers[false])
	}
}

// Traced sends stay in their batches, each with its own trace, and the batch has to do with all of them.
func TestTrace_OfABatch(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	exported := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(exported))
	command := to("add", "sink")
	command.Batch = 64
	f.register("src", command)
	f.register("sink")
	const n, every = 1500, 3
	var mu sync.Mutex
	var order []string
	f.worker("sink", func(ctx context.Context, in damrey.Msg) (damrey.Msg, error) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, in.Arg(0))
		i, err := strconv.Atoi(in.Arg(0))
		if traced := trace.SpanContextFromContext(ctx).IsValid(); err != nil || traced != (i%every == 0) {
			t.Errorf("message %s is traced: %t", in.Arg(0), traced)
		}
		return nil, nil
	}, damrey.WithTracer(provider))
	var most atomic.Int64 // traced messages in a payload
	_, err := f.connect().Subscribe("damrey.msg.sink.>", func(m *nats.Msg) {
		if here := int64(len(m.Header["Damrey-Traces"])); here > most.Load() {
			most.Store(here)
		}
	})
	must(t, err)
	src := f.worker("src", echo, damrey.WithTracer(provider))
	f.put(damrey.Registration{Name: "sink", MPU: 1}) // in their order
	for i := range n {
		ctx := f.context()
		if i%every == 0 {
			sampled, own := provider.Tracer("test").Start(ctx, "of the program")
			own.End()
			ctx = sampled
		}
		must(t, src.Send(ctx, "add", strconv.Itoa(i)))
	}
	must(t, src.Flush(f.context()))
	handled := map[trace.SpanID]int{} // by the span of their send
	var batches []tracetest.SpanStub
	eventually(t, "all are handled", func() bool {
		clear(handled)
		batches = nil
		for _, s := range exported.GetSpans() {
			switch s.Name {
			case "handle add":
				handled[s.Parent.SpanID()]++
			case "batch add":
				batches = append(batches, s)
			}
		}
		return len(handled) == n/every
	})
	sent := map[trace.SpanID]bool{}
	for _, s := range exported.GetSpans() {
		if s.Name == "send add" {
			sent[s.SpanContext.SpanID()] = true
		}
	}
	for id, times := range handled {
		if times != 1 || !sent[id] {
			t.Errorf("the handlers of %v: %d, and it was sent: %t", id, times, sent[id])
		}
	}
	several := 0
	for _, b := range batches {
		several += len(b.Links)
		for _, other := range append([]sdk.Link{{SpanContext: b.Parent}}, b.Links...) {
			if id := other.SpanContext.SpanID(); !sent[id] {
				t.Errorf("a batch has to do with %v, which was not sent or is of another batch", id)
			} else {
				delete(sent, id)
			}
		}
	}
	if several == 0 || most.Load() < 2 {
		t.Errorf("%d links of %d batches, %d traced messages in one at most", several, len(batches), most.Load())
	}
	mu.Lock()
	defer mu.Unlock()
	for i, arg := range order {
		if arg != strconv.Itoa(i) {
			t.Fatalf("message %d is %s", i, arg)
		}
	}
}

// Headers of somebody else trace nothing that they do not name, and take no message away.
func TestTrace_OfABatchWithBadHeaders(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("sink")
	var handled atomic.Int64
	f.worker("sink", func(context.Context, damrey.Msg) (damrey.Msg, error) { handled.Add(1); return nil, nil })
	m := nats.NewMsg("damrey.msg.sink.add.src")
	m.Data = []byte(`["REQUEST","add","1"]` + "\n" + `["REQUEST","add","2"]`)
	m.Header["Damrey-Traces"] = []string{"", "x", "1", "-1 00-0-0-0", "99999999999999999999 x y z", "0 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 damrey=\x00"}
	must(t, f.nc.PublishMsg(m))
	eventually(t, "both are handled", func() bool { return handled.Load() == 2 })
}

func TestTrace_TellsOpenTelemetry(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	exported := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(exported))
	f.register("entry", to("add", "add"))
	f.register("add", to("square", "square"))
	f.register("square")
	f.worker("add", forward("square"), damrey.WithTracer(provider))
	var inHandler trace.SpanContext
	f.worker("square", func(ctx context.Context, in damrey.Msg) (damrey.Msg, error) {
		inHandler = trace.SpanContextFromContext(ctx)
		return damrey.Fail("too big"), nil
	}, damrey.WithTracer(provider))
	entry := f.worker("entry", echo, damrey.WithTracer(provider))
	ctx, first := provider.Tracer("test").Start(f.context(), "of the program")
	_, err := entry.Request(ctx, "add", "1")
	if err == nil {
		t.Fatal("no error")
	}
	first.End()
	byName := make(map[string]tracetest.SpanStub)
	eventually(t, "all are exported", func() bool {
		for _, s := range exported.GetSpans() {
			byName[s.Name] = s
		}
		return len(byName) == 7
	})
	for _, want := range []struct {
		name, parent string
		kind         trace.SpanKind
		operation    string
	}{
		{"send add", "of the program", trace.SpanKindProducer, "send"},
		{"wait add", "send add", trace.SpanKindInternal, "receive"},
		{"handle add", "send add", trace.SpanKindConsumer, "process"},
		{"forward square", "handle add", trace.SpanKindProducer, "send"},
		{"handle square", "forward square", trace.SpanKindConsumer, "process"},
	} {
		s := byName[want.name]
		if s.SpanKind != want.kind || s.Parent.SpanID() != byName[want.parent].SpanContext.SpanID() || s.SpanContext.TraceID() != first.SpanContext().TraceID() {
			t.Errorf("%s is %v below %v", want.name, s.SpanKind, s.Parent.SpanID())
		}
		have := attribute.NewSet(s.Attributes...)
		for key, value := range map[string]string{"messaging.system": "nats", "messaging.operation.type": want.operation} {
			if got, _ := have.Value(attribute.Key(key)); got.AsString() != value {
				t.Errorf("%s: %s is %q, not %q", want.name, key, got.AsString(), value)
			}
		}
	}
	handled := byName["handle square"]
	if handled.Status.Description != "too big" {
		t.Errorf("the failed handler's status is %+v", handled.Status)
	}
	have := attribute.NewSet(handled.Attributes...)
	if got, _ := have.Value("messaging.destination.name"); got.AsString() != "damrey.msg.square.square.add" {
		t.Errorf("the destination is %q", got.AsString())
	}
	if inHandler.SpanID() != handled.SpanContext.SpanID() {
		t.Error("the handler's context does not carry its span")
	}
}

func TestTrace_NonsenseIsNoTrace(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	seen := f.spans()
	f.register("add")
	f.worker("add", echo)
	nc := f.connect()
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, bad := range []string{
		"", "x", "00", good[:54], good + "0", good + "-x", strings.ToUpper(good), "ff" + good[2:], strings.ReplaceAll(good, "-", "_"),
		"00-00000000000000000000000000000000-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
		"00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01", good[:53] + "00", strings.Repeat("9", 10000), "00-ü",
	} {
		ask(t, nc, bad, "damrey=asked")
	}
	ask(t, nc, good, "damrey=nonsense,other=1")
	ask(t, nc, good, strings.Repeat("damrey=asked,", 100))
	if n := seen.count(); n != 0 {
		t.Fatalf("%d spans of nonsense: %+v", n, seen.all)
	}
	ask(t, nc, good, "other=1,damrey=asked")
	all := seen.trace(t, 2)
	if n := seen.count(); n != 2 {
		t.Errorf("%d spans, not 2", n)
	}
	if all[0].Parent != "b7ad6b7169203331" || all[0].Kept != report.Asked {
		t.Errorf("%+v", all[0])
	}
}

func ask(t *testing.T, nc *nats.Conn, parent, state string) {
	t.Helper()
	m := nats.NewMsg("damrey.msg.add.add.entry")
	m.Data = []byte(`["REQUEST","add","1"]`)
	m.Header.Set("Traceparent", parent) // as some clients spell it
	m.Header.Set("tracestate", state)
	answer, err := nc.RequestMsg(m, patience)
	must(t, err)
	if string(answer.Data) != `["RESPONSE","add","1"]` {
		t.Errorf("%q is answered %s", parent, answer.Data)
	}
}

// What fails without being traced is told by its requester and where it failed, ten a second each at most.
func TestTrace_KeepsFailuresThatWereNotTraced(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	seen := f.spans()
	f.register("entry", to("add", "add"))
	f.register("add")
	add := f.worker("add", func(context.Context, damrey.Msg) (damrey.Msg, error) { return nil, errors.New("no") })
	entry := f.worker("entry", echo)
	began := time.Now()
	const many = 300
	for range many {
		if _, err := entry.Request(f.context(), "add"); err == nil {
			t.Fatal("no error")
		}
	}
	found := seen.trace(t, 2)
	mustBeTree(t, found)
	for _, one := range found {
		if one.Kept != report.Failed || one.Outcome != report.Error || !strings.HasSuffix(one.Error, "no") || one.Route() != "entry→add→add" {
			t.Errorf("%+v", one)
		}
	}
	eventually(t, "each is kept, or counted as left out", func() bool {
		return uint64(seen.count())+add.Stats().SpansLeftOut+entry.Stats().SpansLeftOut == 2*many
	})
	if n, most := seen.count(), 2*10*(int(time.Since(began)/time.Second)+2); n > most {
		t.Errorf("%d spans, over %d", n, most)
	}
}

func TestTrace_KeepsWhatWasSlow(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	seen := f.spans()
	f.register("entry", to("add", "add"))
	f.register("add")
	f.worker("add", func(ctx context.Context, in damrey.Msg) (damrey.Msg, error) {
		deadline, _ := ctx.Deadline()
		time.Sleep(time.Until(deadline) * 6 / 10)
		return in[:0], nil
	})
	entry := f.worker("entry", echo)
	ctx, cancel := context.WithTimeout(f.context(), 3*time.Second)
	defer cancel()
	_, err := entry.Request(ctx, "add")
	must(t, err)
	found := seen.trace(t, 2)
	mustBeTree(t, found)
	for _, one := range found {
		if one.Kept != report.Slow || one.Outcome != report.OK {
			t.Errorf("%+v", one)
		}
	}
}

// A message that waited for most of its time is slow, however quick its handler is; one that is stored has its time from
// then on.
func TestTrace_KeepsWhatWasSlowByWaiting(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.jobs("add")
	seen := f.spans()
	stored := to("stored", "add")
	stored.Delivery = damrey.Durable
	f.register("entry", to("first", "add"), to("second", "add"), stored)
	f.put(damrey.Registration{Name: "add", MPU: 1})
	started, release := make(chan struct{}), make(chan struct{})
	add := f.instance(damrey.Config{Name: "add", Timeout: time.Second})
	add.Handle("*", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		if in.Type() == "first" {
			close(started)
			<-release
		}
		return in[:0], nil
	})
	f.serve(add)
	entry := f.worker("entry", echo)
	must(t, entry.Send(f.context(), "first"))
	<-started
	const budget = 2 * time.Second
	var asked sync.WaitGroup
	for _, typ := range []string{"second", "stored"} {
		asked.Go(func() {
			ctx, cancel := context.WithTimeout(f.context(), budget)
			defer cancel()
			if _, err := entry.Request(ctx, typ); err != nil {
				t.Errorf("%s: %v", typ, err)
			}
		})
	}
	time.AfterFunc(budget*6/10, func() { close(release) })
	asked.Wait()
	kept := make(map[string]int)
	eventually(t, "all that was slow is kept", func() bool {
		seen.mu.Lock()
		defer seen.mu.Unlock()
		clear(kept)
		for _, all := range seen.all {
			for _, s := range all {
				if s.Type != "first" && (s.Kept != report.Slow || s.Outcome != report.OK) {
					t.Errorf("%+v", s)
				}
				kept[s.Type+" "+s.Kind]++
			}
		}
		return kept["second send"]*kept["second wait"]*kept["second handle"]*kept["stored send"] == 1
	})
	if kept["stored wait"]+kept["stored handle"] > 0 {
		t.Errorf("%v", kept)
	}
}

// Though nothing of a trace travels with it, what is kept of a line that failed says where it began and where it ended.
func TestTrace_AFailedLineThatWasNotTracedIsOneTrace(t *testing.T) {
	t.Parallel()
	for _, delivery := range []damrey.Delivery{damrey.Direct, damrey.Durable} {
		t.Run(string(delivery), func(t *testing.T) {
			t.Parallel()
			f := newFabric(t)
			f.jobs("square")
			seen := f.spans()
			f.register("entry", to("add", "add"))
			middle := to("square", "square")
			middle.Delivery = delivery
			f.register("add", middle)
			f.register("square")
			f.worker("add", forward("square"))
			f.worker("square", func(context.Context, damrey.Msg) (damrey.Msg, error) { return nil, damrey.Discard(errors.New("no")) })
			entry := f.worker("entry", echo)
			if _, err := entry.Request(f.context(), "add"); err == nil {
				t.Fatal("no error")
			}
			found := seen.trace(t, 2)
			root := mustBeTree(t, found)
			if root.Kind != report.KindSend || root.Route() != "entry→add→add" || root.Worker != "entry" || root.Kept != report.Failed {
				t.Errorf("the first is %+v", root)
			}
			for _, s := range found {
				if s.ID != root.ID && (s.Kind != report.KindHandle || s.Route() != "add→square→square" || s.Hop != 1 || s.Error != "no") {
					t.Errorf("the last is %+v", s)
				}
			}
		})
	}
}

// Each hop of a line may be quick and the line be slow.
func TestTrace_KeepsALineThatWasSlow(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	seen := f.spans()
	f.register("entry", to("add", "add"))
	f.register("add", to("square", "square"))
	f.register("square")
	late := func(then damrey.HandlerFunc) damrey.HandlerFunc {
		return func(ctx context.Context, in damrey.Msg) (damrey.Msg, error) {
			deadline, _ := ctx.Deadline()
			time.Sleep(time.Until(deadline) * 4 / 10)
			return then(ctx, in)
		}
	}
	f.worker("add", late(forward("square")))
	f.worker("square", late(echo))
	entry := f.worker("entry", echo)
	ctx, cancel := context.WithTimeout(f.context(), 3*time.Second)
	defer cancel()
	_, err := entry.Request(ctx, "add")
	must(t, err)
	if one := seen.trace(t, 1)[0]; one.Kind != report.KindSend || one.Kept != report.Slow || one.Outcome != report.OK {
		t.Errorf("%+v", one)
	}
}

func TestTrace_GoesOnAcrossTheBridge(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	seen := f.spans()
	f.register("entry", to("add", "add"))
	f.register("add")
	f.worker("add", echo)
	f.bridge()
	nc := f.connect()
	m := nats.NewMsg("damrey.out.entry.add")
	m.Header.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	m.Header.Set("tracestate", "damrey=asked")
	_, err := nc.RequestMsg(m, patience)
	must(t, err)
	all := seen.trace(t, 3)
	byKind := make(map[string]report.Span)
	for _, s := range all {
		byKind[s.Kind] = s
	}
	if p := byKind[report.KindForward]; p.Parent != "b7ad6b7169203331" || p.Worker != damrey.BridgeWorker || byKind[report.KindHandle].Parent != p.ID {
		t.Errorf("%+v", all)
	}
}

// The line of a program without the library begins at the bridge.
func TestTrace_SamplesAtTheBridge(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	seen := f.spans()
	f.register("entry", to("add", "add"))
	f.register("add")
	f.worker("add", echo)
	f.bridgeWith(damrey.BridgeConfig{Sampling: 1})
	_, err := f.connect().Request("damrey.out.entry.add", []byte("1"), patience)
	must(t, err)
	all := seen.trace(t, 3) // a send, a wait, a handler
	if root := mustBeTree(t, all); root.Kind != report.KindSend || root.Worker != damrey.BridgeWorker || root.Kept != report.Sampled || root.Route() != "entry→add→add" {
		t.Errorf("the first span is %+v", root)
	}
}

func TestWithTraceSampling_RefusesNoShare(t *testing.T) {
	t.Parallel()
	for _, share := range []float64{-0.1, 1.1, 100} {
		w := damrey.New(damrey.Config{Name: "w"}, zerolog.Nop(), damrey.WithTraceSampling(share))
		if err := w.Serve(t.Context()); err == nil || !strings.Contains(err.Error(), "WithTraceSampling") {
			t.Errorf("%v: %v", share, err)
		}
	}
}
