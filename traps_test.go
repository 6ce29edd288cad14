package damrey_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/bucket"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
	"github.com/rs/zerolog"
)

// Each test here holds a measured behaviour of nats-server or nats.go that the
// library is built around. They guard upgrades.

func TestTrap_ThroughAReplySubjectNobodyWritesTheTable(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("w")
	w := f.worker("w", echo)
	evil := `["REQUEST","x","{\"name\":\"evil\"}"]`
	for _, reply := range []string{
		"$KV.damrey_workers.evil",
		"_INBOX.x.~q1.1000.1.1.$KV.damrey_workers.evil",
		"damrey.msg.w.x.evil",
		"$JS.API.STREAM.DELETE.KV_damrey_workers",
	} {
		must(t, f.nc.PublishRequest("damrey.msg.w.x.entry", reply, []byte(evil)))
	}
	eventually(t, "all four are refused", func() bool { return w.Stats().Refused == 4 })
	for _, verb := range []string{"PING", "INFO", "STATS"} {
		must(t, f.nc.PublishRequest("$SRV."+verb+".w", "$KV.damrey_workers.evil", nil))
	}
	_, err := f.nc.Request("$SRV.PING.w", nil, patience) // is handled after those
	must(t, err)
	_, err = f.kv.PutString(f.context(), "later", `{"name":"later"}`) // is stored after what they wrote
	must(t, err)
	if _, err := f.kv.Get(f.context(), "evil"); !errors.Is(err, jetstream.ErrKeyNotFound) {
		t.Errorf("the table was written: %v", err)
	}
}

func TestTrap_ARelayNeverWritesTheTable(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "w"))
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	seen, err := f.nc.SubscribeSync("damrey.msg.w.>")
	must(t, err)
	must(t, f.nc.Flush())
	must(t, src.Send(f.context(), "x"))
	m, err := seen.NextMsg(patience)
	must(t, err)
	inbox, _, _ := strings.Cut(m.Reply, ".~")
	must(t, f.nc.Publish(inbox+".~q1.1000.1.1.$KV.damrey_workers.evil", []byte(`{"name":"evil"}`)))
	eventually(t, "refused", func() bool { return src.Stats().Refused == 1 })
}

func TestTrap_AStreamOverTheSubjectsDoesNotAnswer(t *testing.T) {
	t.Parallel()
	for name, audit := range map[string]jetstream.StreamConfig{
		"it stores":  {},
		"it is full": {MaxMsgs: 1, Discard: jetstream.DiscardNew},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFabric(t)
			f.register("src", to("x", "w"), to("on", "passer"))
			f.register("w")
			f.register("passer", to("x", "w"))
			f.worker("w", echo)
			f.worker("passer", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
				return damrey.Msg{damrey.REQUEST, "x", in.Arg(0)}, nil
			})
			f.bridge()
			js, err := jetstream.New(f.nc)
			must(t, err)
			audit.Name, audit.Subjects = "AUDIT", []string{"damrey.msg.>"}
			_, err = js.CreateStream(f.context(), audit)
			must(t, err)
			src := f.serve(f.instance(damrey.Config{Name: "src"}))
			for range 20 {
				for _, typ := range []string{"x", "on"} {
					got, err := src.Request(f.context(), typ, "1")
					must(t, err)
					if got.Arg(0) != "1" {
						t.Fatalf("the stream's word was taken for an answer: %q", got)
					}
				}
				if got := f.ask("damrey.out.src.x", `["REQUEST","x","1"]`); got != `["RESPONSE","x","1"]` {
					t.Fatalf("the stream's word was taken for an answer: %s", got)
				}
			}
			must(t, src.Send(f.context(), "x", "1"))
			must(t, src.Flush(f.context()))
			eventually(t, "its words are counted", func() bool { return src.Stats().StreamAcks == 41 })
		})
	}
}

func TestTrap_APlainSubscriptionHidesThatNobodyIsThere(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "nobody"))
	src := f.serve(f.instance(damrey.Config{Name: "src", Timeout: 300 * time.Millisecond}))
	_, err := f.nc.SubscribeSync("damrey.msg.>")
	must(t, err)
	must(t, f.nc.Flush())
	if _, err := src.Request(t.Context(), "x"); !errors.Is(err, damrey.ErrTimeout) {
		t.Errorf("got %v; documented is TIMEOUT in place of STOP", err)
	}
}

func TestTrap_TheBucketMadeAnewIsNoticed(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("a")
	f.register("b")
	changes := make(chan []string, 100)
	nc := f.connect()
	w := damrey.NewWatcher(nc, damrey.WatchConfig{
		OnChange: func(table *damrey.Table) {
			var names []string
			for _, row := range table.Rows() {
				names = append(names, row.Registration.Name)
			}
			changes <- names
		},
		Log: zerolog.New(zerolog.NewTestWriter(t)),
	})
	go func() { _ = w.Run(t.Context()) }()
	until := func(want ...string) {
		t.Helper()
		for got := []string{"?"}; !slices.Equal(got, want); {
			got = await(t, "the table "+strings.Join(want, ","), changes)
		}
	}
	until("a", "b")
	js, err := jetstream.New(f.nc)
	must(t, err)
	must(t, js.DeleteKeyValue(f.context(), bucket.Name("damrey")))
	must(t, bucket.Ensure(f.context(), js, "damrey"))
	f.kv, err = js.KeyValue(f.context(), bucket.Name("damrey"))
	must(t, err)
	f.register("c")
	until("c")
	f.register("d")
	until("c", "d")
}

func TestTrap_ADamagedRowLeavesTheLastGoodOne(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "w"))
	f.register("w")
	f.worker("w", echo)
	var logged logBuffer
	src := damrey.New(damrey.Config{Name: "src"}, zerolog.New(&logged),
		damrey.WithConnect(damrey.ConnectConfig{URL: f.srv.ClientURL()}))
	f.serve(src)
	for _, bad := range []string{`{`, `{"name":"other"}`, `{"name":"src","commands":[{"name":"x","worker":"a.b"}]}`} {
		_, err := f.kv.PutString(f.context(), "src", bad)
		must(t, err)
	}
	eventually(t, "it is said", func() bool {
		return strings.Contains(logged.String(), "cannot be read; the last good one stays in use")
	})
	for range 20 {
		_, err := src.Request(f.context(), "x")
		must(t, err)
	}
}

// Rows that stay damaged are told once each, however often the table is loaded, and not all at once.
func TestWatcher_TellsOfADamagedRevisionOnce(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	for _, name := range []string{"a", "b", "c"} {
		_, err := f.kv.PutString(f.context(), name, `{`)
		must(t, err)
	}
	var logged logBuffer
	loads := make(chan *damrey.Table, 100)
	w := damrey.NewWatcher(f.connect(), damrey.WatchConfig{
		OnChange: func(table *damrey.Table) { loads <- table }, Log: zerolog.New(&logged),
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	await(t, "the table", loads)
	for range 3 {
		w.Reload()
		await(t, "the table again", loads)
	}
	stop()
	must(t, await(t, "the end", ended))
	const text = "a row of the routing table cannot be read; the last good one stays in use"
	if n := strings.Count(logged.String(), text); n != 2 || !strings.Contains(logged.String(), `"more_like_this":2`) {
		t.Errorf("%d lines: %s", n, logged.String())
	}
}

func TestServices_AnswerAsNATSsOwnDo(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("w")
	w := f.worker("w", echo)
	ownConn := f.connect()
	own, err := micro.AddService(ownConn, micro.Config{Name: "own", Version: "0.1.0", Endpoint: &micro.EndpointConfig{
		Subject: "own.x", Handler: micro.HandlerFunc(func(micro.Request) {}),
	}})
	must(t, err)
	t.Cleanup(func() { _ = own.Stop() })
	must(t, ownConn.Flush()) // its subscriptions are with the broker
	for _, verb := range []string{"PING", "INFO", "STATS"} {
		for _, at := range []string{verb, verb + ".%s", verb + ".%s.%s"} {
			ask := func(name, id string) map[string]any {
				subject := strings.Replace(strings.Replace(at, "%s", name, 1), "%s", id, 1)
				inbox := f.nc.NewInbox()
				sub, err := f.nc.SubscribeSync(inbox)
				must(t, err)
				defer func() { _ = sub.Unsubscribe() }()
				must(t, f.nc.PublishRequest("$SRV."+subject, inbox, nil))
				for {
					m, err := sub.NextMsg(patience)
					must(t, err)
					var doc map[string]any
					must(t, json.Unmarshal(m.Data, &doc))
					if doc["name"] == name {
						return doc
					}
				}
			}
			mine, theirs := ask("w", w.ID()), ask("own", own.Info().ID)
			if mine["type"] != theirs["type"] {
				t.Errorf("%s: type %v, NATS's own %v", at, mine["type"], theirs["type"])
			}
			for key := range theirs {
				if _, ok := mine[key]; !ok {
					t.Errorf("%s: NATS's own has %q, ours does not", at, key)
				}
			}
		}
	}
}

func TestConnect_FollowsTheNatsCommand(t *testing.T) {
	f := newFabric(t)
	t.Setenv("NATS_URL", f.srv.ClientURL())
	nc, err := damrey.Connect(damrey.ConnectConfig{Name: "by environment", Log: zerolog.New(io.Discard)})
	must(t, err)
	defer nc.Close()
	if nc.Status() != nats.CONNECTED {
		t.Errorf("status %v", nc.Status())
	}
}

// A consumer does not go back to what a narrower filter has passed over: a durable route is not paused by a filter.
func TestTrap_AWiderFilterDoesNotGoBack(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	js := f.jobs("w")
	ctx := f.context()
	filter := func(subject string) jetstream.Consumer {
		t.Helper()
		c, err := js.Consumer(ctx, "DAMREY_JOBS_w", "work")
		must(t, err)
		cfg := c.CachedInfo().Config
		cfg.FilterSubject = subject
		c, err = js.UpdateConsumer(ctx, "DAMREY_JOBS_w", cfg)
		must(t, err)
		return c
	}
	next := func(c jetstream.Consumer) string {
		t.Helper()
		m, err := c.Next(jetstream.FetchMaxWait(time.Second))
		if errors.Is(err, nats.ErrTimeout) {
			return "nothing"
		}
		must(t, err)
		must(t, m.Ack())
		return m.Subject()
	}
	c := filter("damrey.job.w.open.src")
	for _, subject := range []string{"damrey.job.w.paused.src", "damrey.job.w.open.src"} {
		_, err := js.Publish(ctx, subject, nil)
		must(t, err)
	}
	if got := next(c); got != "damrey.job.w.open.src" {
		t.Fatalf("filtered: %s", got)
	}
	if got := next(filter("damrey.job.w.>")); got != "nothing" || stored(t, js, "DAMREY_JOBS_w") != 1 {
		t.Errorf("widened: %s; if the broker goes back now, durable routes can be paused by the consumer's filter", got)
	}
}

// After a restart of the broker a watch of nats.go's sees nothing until it misses its heartbeats, and 10 to 20 s may pass.
// Ours is made anew at once, so that it sees a change before.
func TestTrap_AWatchIsMadeAnewAfterARestart(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("a")
	js, err := jetstream.New(f.connect(nats.ReconnectWait(20 * time.Millisecond)))
	must(t, err)
	kv, err := js.KeyValue(f.context(), bucket.Name("damrey"))
	must(t, err)
	plain, err := kv.WatchAll(f.context(), jetstream.UpdatesOnly())
	must(t, err)
	defer func() { _ = plain.Stop() }() // the server has forgotten it
	seen := make(chan int, 100)
	w := damrey.NewWatcher(f.connect(nats.ReconnectWait(20*time.Millisecond)), damrey.WatchConfig{
		OnChange: func(table *damrey.Table) { seen <- len(table.Rows()) },
	})
	go func() { _ = w.Run(t.Context()) }()
	for await(t, "the table", seen) != 1 {
	}
	f.restart()
	f.kv = kv // of a connection that comes back soon
	eventually(t, "the broker is back", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second) // a question that the restart swallowed
		defer cancel()
		_, err := kv.Status(ctx)
		return err == nil
	})
	f.register("b")
	for await(t, "the change", seen) != 2 {
	}
	select {
	case e := <-plain.Updates():
		t.Errorf("nats.go's own watch saw %s first: does it come back by itself at once now?", e.Key())
	default:
	}
}
