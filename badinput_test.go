package damrey_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/bucket"
	"github.com/damrey/damrey/internal/wire"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

func TestInstance_RefusesAWrongConfigByName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cfg  damrey.Config
		opts []damrey.Option
		want string
	}{
		{damrey.Config{}, nil, "damrey: Config.Name: is empty; 1 to 64 of A-Z a-z 0-9 _ - are allowed"},
		{damrey.Config{Name: "a b"}, nil, `damrey: Config.Name: "a b": character ' ' at position 2 is not allowed; use A-Z a-z 0-9 _ -`},
		{damrey.Config{Name: "w", Rc: -1}, nil, "damrey: Config.Rc: -1 attempts to push; use 1 or more, or 0 for 3"},
		{damrey.Config{Name: "w", Timeout: -1}, nil, "damrey: Config.Timeout: -1ns; use more than 0, or 0 for 5s"},
		{damrey.Config{Name: "w"}, []damrey.Option{damrey.WithPrefix("a.b")},
			`damrey: WithPrefix: "a.b": character '.' at position 2 is not allowed; use A-Z a-z 0-9 _ -`},
		{damrey.Config{Name: "w"}, []damrey.Option{damrey.WithQueue(0)}, "damrey: WithQueue: 0; use 1 or more"},
	} {
		w := damrey.New(c.cfg, zerolog.Nop(), c.opts...)
		if err := w.Serve(t.Context()); err == nil || err.Error() != c.want {
			t.Errorf("%+v gave %v\nwant %s", c.cfg, err, c.want)
		}
		w.Stop()
	}
}

func TestInstance_RefusesWrongCallsOfHandle(t *testing.T) {
	t.Parallel()
	w := damrey.New(damrey.Config{Name: "w"}, zerolog.Nop())
	w.Handle("a.b", echo)
	w.Handle("x", nil)
	w.Handle("y", echo)
	w.Handle("y", echo)
	err := w.Serve(t.Context())
	for _, part := range []string{`type "a.b": character '.' at position 2`, `Handle("x"): the handler is nil`, `Handle("y") was called twice`} {
		if !errors.Is(err, damrey.ErrHandlerSetup) || !strings.Contains(err.Error(), part) {
			t.Errorf("%v\nlacks %s", err, part)
		}
	}
}

func TestInstance_StopsAtAnyMoment(t *testing.T) {
	t.Parallel()
	never := damrey.New(damrey.Config{Name: "w"}, zerolog.Nop())
	never.Stop()
	never.Stop()
	if err := never.Serve(t.Context()); !errors.Is(err, damrey.ErrAlreadyRun) && err != nil {
		t.Errorf("Serve after Stop: %v", err)
	}
	if _, open := <-never.RecvChannel(); open {
		t.Error("RecvChannel is open")
	}
	// No broker there: it waits, says so, and stops when told.
	var logged logBuffer
	waiting := damrey.New(damrey.Config{Name: "w", Timeout: 100 * time.Millisecond}, zerolog.New(&logged),
		damrey.WithConnect(damrey.ConnectConfig{URL: "nats://127.0.0.1:1"}))
	done := make(chan error, 1)
	go func() { done <- waiting.Serve(context.Background()) }()
	if _, err := waiting.Request(t.Context(), "x"); !errors.Is(err, damrey.ErrNotConnected) {
		t.Errorf("a request without a broker: %v", err)
	}
	eventually(t, "it says that it waits", func() bool {
		return strings.Contains(logged.String(),
			`"url":"nats://127.0.0.1:1","error":"nats: no servers available for connection","message":"NATS is not reachable; waiting for it"`)
	})
	waiting.Stop()
	must(t, await(t, "Serve", done))
}

// A connection that is lost and does not come back says why.
func TestConnect_SaysWhyItDoesNotComeBack(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	var logged logBuffer
	nc, err := damrey.Connect(damrey.ConnectConfig{URL: f.srv.ClientURL(), Log: zerolog.New(&logged)})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	f.srv.Shutdown()
	eventually(t, "it says why", func() bool {
		return strings.Contains(logged.String(), `connection refused","message":"NATS cannot be reached; trying on"`)
	})
}

// A broker that comes later finds the instance waiting, which has said so.
func TestInstance_WaitsForABrokerThatComesLater(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("w")
	url, dir, port := f.srv.ClientURL(), f.srv.StoreDir(), f.srv.Addr().(*net.TCPAddr).Port
	f.srv.Shutdown()
	f.srv.WaitForShutdown()
	var logged logBuffer
	w := damrey.New(damrey.Config{Name: "w"}, zerolog.New(&logged), damrey.WithConnect(damrey.ConnectConfig{URL: url}))
	f.run(w)
	eventually(t, "it says that it waits", func() bool {
		return strings.Contains(logged.String(), "NATS is not reachable; waiting for it") &&
			strings.Contains(logged.String(), `"error":"no connection to NATS","url":"`+url+`"`)
	})
	if strings.Contains(logged.String(), "outbound buffer") {
		t.Errorf("the table was asked for: %s", logged.String())
	}
	f.start(&server.Options{
		ServerName: "broker", Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true, JetStream: true, StoreDir: dir,
	})
	await(t, "ready", w.Ready())
}

func TestInstance_TooLargeNamesBothSizes(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "w"))
	f.register("w")
	big := strings.Repeat("x", 1<<20)
	f.worker("w", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) { return damrey.Reply(big), nil })
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	want := "1048594 bytes are more than the broker's max_payload of 1048576"
	_, err := src.Request(f.context(), "x", big)
	if !errors.Is(err, damrey.ErrTooLarge) || !strings.Contains(err.Error(), want) {
		t.Errorf("a request: %v", err)
	}
	if err := src.Send(f.context(), "x", big); !errors.Is(err, damrey.ErrTooLarge) || !strings.Contains(err.Error(), want) {
		t.Errorf("a send: %v", err)
	}
	_, err = src.Request(f.context(), "x")
	if !errors.Is(err, damrey.ErrTooLarge) || !strings.Contains(err.Error(), "more than the broker's max_payload of 1048576 (src→x→w)") {
		t.Errorf("an answer: %v", err)
	}
}

func TestInstance_NoTypeGetsIntoASubject(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("*", "w"))
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	for _, typ := range []string{"a.b", ">", "*", " ", "a b", "a\r\nPUB x 0", "", "größe", strings.Repeat("x", 65), strings.Repeat("x", 5000)} {
		if _, err := src.Request(f.context(), typ); !errors.Is(err, damrey.ErrNoRoute) {
			t.Errorf("request of type %.20q: %v", typ, err)
		}
		if err := src.Send(f.context(), typ); !errors.Is(err, damrey.ErrNoRoute) {
			t.Errorf("send of type %.20q: %v", typ, err)
		}
	}
}

// foreignNames are no names, but tokens that a subject may hold, with what is
// said of each.
var foreignNames = []struct{ name, want string }{
	{"größe", `"größe": character 'ö' at position 3 is not allowed`},
	{"日本語", `"日本語": character '日' at position 1 is not allowed`},
	{"a\xff", `"a\xff": character '�' at position 2 is not allowed`},
	{"<b>", `"<b>": character '<' at position 1 is not allowed`},
	{"a/b", `"a/b": character '/' at position 2 is not allowed`},
	{"a\x00b", `"a\x00b": character '\x00' at position 2 is not allowed`},
	{`a"b`, `"a\"b": character '"' at position 2 is not allowed`},
	{strings.Repeat("x", 65), `: 65 characters, at most 64 are allowed`},
	{strings.Repeat("x", 900), `: 900 characters, at most 64 are allowed`},
}

// Whoever may publish writes any subject. What is no name gets no further than
// the door, with reports or without, by every subject again.
func TestInstance_RefusesNamesInSubjects(t *testing.T) {
	t.Parallel()
	for _, opts := range [][]damrey.Option{nil, {damrey.WithoutReports()}} {
		f := newFabric(t)
		f.register("w")
		var handled atomic.Int64
		w := f.worker("w", func(context.Context, damrey.Msg) (damrey.Msg, error) { handled.Add(1); return nil, nil }, opts...)
		var malformed uint64
		for _, c := range foreignNames {
			for what, subject := range map[string]string{"type": c.name + ".me", "worker": "x." + c.name} {
				for range 2 {
					typ, _, _ := strings.Cut(subject, ".")
					payload := wire.Append(nil, damrey.NewRequest(typ))
					m, err := f.nc.Request("damrey.msg.w."+subject, payload, patience)
					must(t, err)
					got, err := wire.Decode(m.Data)
					must(t, err)
					want := map[string]damrey.Msg{
						"type":   {damrey.ERROR, "", "", "damrey:malformed", "me→→w"},
						"worker": {damrey.ERROR, "x", "", "damrey:malformed", "→x→w"},
					}[what]
					if len(got) != 5 || !strings.HasPrefix(got[2], what+" in subject ") || !strings.Contains(got[2], c.want) {
						t.Fatalf("%s %.70q gave %q\nwant %s", what, c.name, got, c.want)
					}
					want[2] = got[2]
					if !slices.Equal(got, want) {
						t.Errorf("%s %.70q gave %q\nwant %q", what, c.name, got, want)
					}
					must(t, f.nc.Publish("damrey.msg.w."+subject, payload))
					malformed += 2
				}
			}
		}
		if got := f.ask("damrey.msg.w.x.me", `["REQUEST","x"]`); got != `["RESPONSE","x"]` {
			t.Errorf("afterwards: %s", got)
		}
		if s := w.Stats(); handled.Load() != 1 || s.Handled != 1 || s.Malformed != malformed || s.Received != malformed+1 {
			t.Errorf("handled %d; %d malformed were published: %+v", handled.Load(), malformed, s)
		}
	}
}

func TestInstance_AnswersMalformedPayloadsWithAnError(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("w")
	w := f.worker("w", echo)
	bad := []string{
		"", " ", "hello", "{}", "[", `["REQUEST"]`, `["REQUEST","other"]`, `["RESPONSE","x"]`, `["REQUEST","x"`,
		`["REQUEST","x",1]`, `["REQUEST","x"]["REQUEST","x"]`, "[]", `["REQUEST","x"] junk`, "\x92\xa1x", "\xff\xfe", "\xdd\xff\xff\xff\xff",
		`["REQUEST","x","` + "\xff" + `"]`,
	}
	for i, payload := range bad {
		if got := f.ask("damrey.msg.w.x.me", payload); !strings.Contains(got, `"damrey:malformed"`) {
			t.Errorf("%q gave %s", payload, got)
		}
		if n := w.Stats().Malformed; n != uint64(i+1) {
			t.Errorf("%q: %d counted", payload, n)
		}
	}
	for _, payload := range bad {
		must(t, f.nc.Publish("damrey.msg.w.x.me", []byte(payload)))
	}
	if got := f.ask("damrey.msg.w.x.me", `["REQUEST","x","fine"]`); got != `["RESPONSE","x","fine"]` {
		t.Errorf("afterwards: %s", got)
	}
}

func TestInstance_ASecondAnswerIsCountedAndDropped(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "plain"))
	_, err := f.nc.QueueSubscribe("damrey.msg.plain.*.*", "plain", func(m *nats.Msg) {
		for _, answer := range []string{"first", "second", "third"} {
			must(t, m.Respond([]byte(answer)))
		}
	})
	must(t, err)
	must(t, f.nc.Flush())
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	got, err := src.Request(f.context(), "x")
	must(t, err)
	if got.Arg(0) != "first" {
		t.Errorf("got %q", got)
	}
	eventually(t, "the others are counted", func() bool { return src.Stats().Late == 2 })
}

func TestInstance_PlainWorkersMayAnswerAnything(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "plain"))
	answer := make(chan *nats.Msg, 1)
	_, err := f.nc.QueueSubscribe("damrey.msg.plain.*.*", "plain", func(m *nats.Msg) {
		out := <-answer
		out.Subject = m.Reply
		must(t, f.nc.PublishMsg(out))
	})
	must(t, err)
	must(t, f.nc.Flush())
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	service := nats.Header{"Nats-Service-Error": {"no stock"}, "Nats-Service-Error-Code": {"404"}}
	for _, c := range []struct {
		header     nats.Header
		data, want string
	}{
		{nil, "", `["RESPONSE" "x"]`},
		{nil, "plain", `["RESPONSE" "x" "plain"]`},
		{nil, `{"a":1}`, `["RESPONSE" "x" "{\"a\":1}"]`},
		{nil, `[1,2]`, `["RESPONSE" "x" "[1,2]"]`},
		{nil, `["a","b"]`, `["RESPONSE" "x" "[\"a\",\"b\"]"]`},
		{nil, `["RESPONSE","y","z"]`, `["RESPONSE" "y" "z"]`},
		{nil, `["ERROR","text"]`, `["ERROR" "text"] damrey: text`},
		{nil, `["STOP"]`, `["STOP"] damrey: no instance took the message (src→x→plain)`},
		{service, "", `["ERROR" "x" "no stock" "404"] damrey: no stock`},
	} {
		answer <- &nats.Msg{Header: c.header, Data: []byte(c.data)}
		got, err := src.Request(f.context(), "x")
		text := fmt.Sprintf("%q", []string(got))
		if err != nil {
			text += " " + err.Error()
		}
		if text != c.want {
			t.Errorf("%s %q became %s\nwant %s", c.header, c.data, text, c.want)
		}
	}
}

func TestInstance_ArbitraryBytesSurvive(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "w"))
	f.register("w")
	f.worker("w", echo)
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for _, arg := range []string{string(every), "", "\x00", "\u2028<&>\"\\", "\xff"} {
		got, err := src.Request(f.context(), "x", arg)
		must(t, err)
		if got.Arg(0) != arg {
			t.Errorf("%q came back as %q", arg, got.Arg(0))
		}
	}
}

func TestInstance_TwoFabricsShareABroker(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "w"))
	f.register("w")
	f.worker("w", func(context.Context, damrey.Msg) (damrey.Msg, error) { return damrey.Reply("damrey"), nil })
	src := f.serve(f.instance(damrey.Config{Name: "src"}))

	js, err := jetstream.New(f.nc)
	must(t, err)
	must(t, bucket.Ensure(f.context(), js, "blue"))
	other := *f
	other.kv, err = js.KeyValue(f.context(), bucket.Name("blue"))
	must(t, err)
	other.register("src", to("x", "w"))
	other.register("w")
	other.worker("w", func(context.Context, damrey.Msg) (damrey.Msg, error) { return damrey.Reply("blue"), nil }, damrey.WithPrefix("blue"))
	blue := other.serve(other.instance(damrey.Config{Name: "src"}, damrey.WithPrefix("blue")))
	for range 20 {
		for want, w := range map[string]*damrey.Instance{"damrey": src, "blue": blue} {
			got, err := w.Request(f.context(), "x")
			must(t, err)
			if got.Arg(0) != want {
				t.Fatalf("fabric %s was answered by %s", want, got.Arg(0))
			}
		}
	}
}
