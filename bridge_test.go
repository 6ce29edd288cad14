package damrey_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/bucket"
	"github.com/damrey/damrey/internal/wire"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// bridge serves a bridge with its own view of the table.
func (f *fabric) bridge() *damrey.Bridge { return f.bridgeWith(damrey.BridgeConfig{}) }

func (f *fabric) bridgeWith(cfg damrey.BridgeConfig) *damrey.Bridge {
	f.t.Helper()
	nc := f.connect()
	w := damrey.NewWatcher(nc, damrey.WatchConfig{})
	cfg.Table = w.Table
	b := damrey.NewBridge(nc, cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- w.Run(ctx) }()
	go func() { ended <- b.Run(ctx) }()
	f.t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				f.t.Error(err)
			}
		}
	})
	await(f.t, "table", w.Ready())
	await(f.t, "bridge", b.Ready())
	return b
}

func (f *fabric) ask(subject, payload string) string {
	f.t.Helper()
	m, err := f.nc.Request(subject, []byte(payload), patience)
	must(f.t, err)
	return string(m.Data)
}

func TestBridge_RoutesForProgramsWithoutTheLibrary(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	line(f)
	f.bridge()
	for _, c := range []struct{ name, subject, payload, want string }{
		{"a message", "damrey.out.entry.add", `["REQUEST","add","3","4"]`, `["RESPONSE","square","49"]`},
		{"not a message", "damrey.out.add.square", `5`, `["RESPONSE","square","25"]`},
		{"no route", "damrey.out.entry.nope", `x`, `["ERROR","nope","damrey: no route: worker \"entry\" has no command \"nope\"; add it with` + " `damrey worker chg entry --command nope=WORKER`" + `","damrey:no_route","entry→nope→"]`},
		{"other type", "damrey.out.entry.add", `["REQUEST","sub"]`, `["ERROR","add","message 1: the message's type \"sub\" is not the subject's \"add\"","damrey:malformed","entry→add→"]`},
	} {
		if got := f.ask(c.subject, c.payload); got != c.want {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
	}
}

// What is no name is refused before the table is asked; a row of that name
// cannot be there.
func TestBridge_RefusesNamesInSubjects(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("entry", to("*", "w"))
	f.register("w")
	w := f.worker("w", echo)
	b := f.bridge()
	var undelivered uint64
	for _, c := range foreignNames {
		for what, subject := range map[string]string{"type": "entry." + c.name, "worker": c.name + ".x"} {
			m, err := f.nc.Request("damrey.out."+subject, []byte("hello"), patience)
			must(t, err)
			got, err := wire.Decode(m.Data)
			must(t, err)
			if len(got) != 5 || got[0] != damrey.ERROR || got[1] != "" || got[3] != "damrey:malformed" || got[4] != "" ||
				!strings.HasPrefix(got[2], what+" in subject ") || !strings.Contains(got[2], c.want) {
				t.Errorf("%s %.70q gave %q\nwant %s", what, c.name, got, c.want)
			}
			must(t, f.nc.Publish("damrey.out."+subject, []byte("hello")))
			undelivered++
		}
	}
	if got := f.ask("damrey.out.entry.x", "hello"); got != `["RESPONSE","x","hello"]` {
		t.Errorf("afterwards: %s", got)
	}
	if s := b.Stats(); s.Undelivered != undelivered || w.Stats().Received != 1 {
		t.Errorf("%d sends were refused: %+v; %+v", undelivered, s, w.Stats())
	}
}

func TestBridge_PlainWorkerForwardsWithTheReceivedReplySubject(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("entry", to("a", "plain"))
	f.register("plain", to("b", "last"))
	f.register("last")
	f.bridge()
	_, err := f.nc.QueueSubscribe("damrey.msg.plain.*.*", "plain", func(m *nats.Msg) {
		if err := f.nc.PublishRequest("damrey.out.plain.b", m.Reply, []byte(`["REQUEST","b","via plain"]`)); err != nil {
			t.Error(err)
		}
	})
	must(t, err)
	_, err = f.nc.QueueSubscribe("damrey.msg.last.*.*", "last", func(m *nats.Msg) {
		if err := m.Respond([]byte("plain answer")); err != nil {
			t.Error(err)
		}
	})
	must(t, err)
	must(t, f.nc.Flush())
	entry := f.serve(f.instance(damrey.Config{Name: "entry"}))
	got, err := entry.Request(f.context(), "a")
	must(t, err)
	if got.Arg(0) != "plain answer" {
		t.Errorf("library requester got %q", got)
	}
	if got := f.ask("damrey.out.entry.a", "x"); got != "plain answer" {
		t.Errorf("stock requester got %s", got)
	}
}

func TestBridge_SendsAndTheirFate(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("entry", to("x", "w"), to("gone", "nobody"))
	f.put(damrey.Registration{Name: "w", MPU: 1})
	got := make(chan string, 10)
	f.worker("w", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		got <- strings.Join(in, " ")
		return nil, nil
	})
	b := f.bridge()
	must(t, f.nc.Publish("damrey.out.entry.x", []byte(`["REQUEST","x","1"] ["REQUEST","x","2"]`)))
	for _, want := range []string{"REQUEST x 1", "REQUEST x 2"} {
		if s := await(t, want, got); s != want {
			t.Errorf("got %q, want %q", s, want)
		}
	}
	confirmed := func(typ string) string {
		m := nats.NewMsg("damrey.out.entry." + typ)
		m.Header.Set(damrey.HeaderSend, damrey.SendConfirm)
		answer, err := f.nc.RequestMsg(m, patience)
		must(t, err)
		return string(answer.Data)
	}
	if s := confirmed("x"); s != `["RESPONSE","x"]` {
		t.Errorf("a send that was taken: %s", s)
	}
	if s := confirmed("gone"); s != `["STOP"]` {
		t.Errorf("a send to nobody: %s", s)
	}
	must(t, f.nc.Publish("damrey.out.entry.gone", nil))
	eventually(t, "the lost send is counted", func() bool { return b.Stats().Undelivered == 2 })
}

func TestBridge_DeadTargetIsStop(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("entry", to("x", "nobody"))
	f.bridge()
	if got := f.ask("damrey.out.entry.x", ""); got != `["STOP"]` {
		t.Errorf("got %s", got)
	}
}

func TestBridge_LoopsOfStockClientsEnd(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("a", to("x", "b"))
	f.register("b", to("x", "a"))
	var ran atomic.Int32
	again := func(context.Context, damrey.Msg) (damrey.Msg, error) {
		ran.Add(1)
		return damrey.NewRequest("x"), nil
	}
	a := f.worker("a", again)
	b := f.worker("b", again)
	f.bridge()
	if got := f.ask("damrey.out.a.x", ""); !strings.Contains(got, `"damrey:loop"`) || ran.Swap(0) != 65 {
		t.Errorf("got %s after %d", got, ran.Load())
	}
	must(t, f.nc.Publish("damrey.out.a.x", nil))
	eventually(t, "the loop of a send ends", func() bool { return a.Stats().Looped+b.Stats().Looped == 2 })
	if n := ran.Load(); n != 65 {
		t.Errorf("%d handlers ran", n)
	}
}

// Messages of a route that is not clear wait in their order, and hold up no others.
func TestBridge_ARouteThatIsHeldBackHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	js := f.heldBack()
	f.worker("w2", echo)
	f.bridge()
	const n = 5
	for i := 1; i <= n; i++ {
		must(t, f.nc.Publish("damrey.out.src.x", fmt.Appendf(nil, `["REQUEST","x","k","%d"]`, i)))
	}
	if got := f.ask("damrey.out.src.now", `["REQUEST","now","beside"]`); got != `["RESPONSE","now","beside"]` {
		t.Errorf("another route: %s", got)
	}
	if got := stored(t, js, "DAMREY_JOBS_w"); got != 1 {
		t.Errorf("%d are stored while one is held back", got)
	}
	f.resumeHeld(js)
	got := make(arrivals, n+1)
	f.worker("w", got.handle)
	for i := range n + 1 {
		if in := got.next(t); in.msg.Arg(1) != fmt.Sprint(i) {
			t.Fatalf("%s came as number %d", in.msg.Arg(1), i)
		}
	}
}

// What waits for its route when the bridge stops is answered.
func TestBridge_EndsWhatWaitsForItsRoute(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.heldBack()
	nc := f.connect()
	table := damrey.NewWatcher(nc, damrey.WatchConfig{})
	b := damrey.NewBridge(nc, damrey.BridgeConfig{Table: table.Table})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 2)
	go func() { ended <- table.Run(ctx) }()
	go func() { ended <- b.Run(ctx) }()
	await(t, "table", table.Ready())
	await(t, "bridge", b.Ready())
	answers, err := f.nc.SubscribeSync(f.nc.NewInbox())
	must(t, err)
	const n = 3
	for range n {
		must(t, f.nc.PublishRequest("damrey.out.src.x", answers.Subject, []byte(`["REQUEST","x","k"]`)))
	}
	eventually(t, "the bridge has them", func() bool { return b.Stats().Forwarded == n })
	cancel()
	for range n {
		m, err := answers.NextMsg(patience)
		must(t, err)
		if !strings.HasPrefix(string(m.Data), `["ERROR","x"`) {
			t.Errorf("got %s", m.Data)
		}
	}
	for range 2 {
		must(t, await(t, "the end", ended))
	}
}

// heldBack registers two routes of src: one with a key that leads to w and was resumed while nobody moves the one message
// that was stored before that, and a direct one to w2.
func (f *fabric) heldBack() jetstream.JetStream {
	f.t.Helper()
	keyed := byKey("x", "w", 0)
	f.register("src", paused(keyed), to("now", "w2"))
	f.register("w")
	f.register("w2")
	f.keyed("w")
	must(f.t, f.serve(f.instance(damrey.Config{Name: "src"})).Send(f.context(), "x", "k", "0"))
	f.register("src", keyed, to("now", "w2"))
	js, err := jetstream.New(f.nc)
	must(f.t, err)
	return js
}

// resumeHeld does what the proxy does about what heldBack has stored.
func (f *fabric) resumeHeld(js jetstream.JetStream) {
	f.t.Helper()
	held, err := bucket.Held(f.context(), js, damrey.DefaultPrefix, "w")
	must(f.t, err)
	for route := range held {
		if n, err := bucket.Resume(f.context(), js, damrey.DefaultPrefix, "w", route, bucket.Limits{}); err != nil || n != 1 {
			f.t.Fatalf("%d are moved, %v", n, err)
		}
	}
}
