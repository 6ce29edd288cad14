package proxyd_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/bucket"
	"github.com/damrey/damrey/proxyd"
)

// deadRig is a proxy with the streams of durable routes to w.
type deadRig struct {
	*rig
	api *api.Client
	js  jetstream.JetStream
}

func newDeadRig(t *testing.T) *deadRig {
	t.Helper()
	r := newRig(t, proxyd.Config{})
	js, err := jetstream.New(r.nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(bucket.EnsureDead(t.Context(), js, "damrey"), bucket.EnsureJobs(t.Context(), js, "damrey", "w", bucket.Limits{})); err != nil {
		t.Fatal(err)
	}
	return &deadRig{rig: r, api: r.client(), js: js}
}

// register replaces a worker's entry.
func (r *deadRig) register(name string, commands ...damrey.Command) {
	r.t.Helper()
	if _, err := r.api.Put(r.t.Context(), damrey.Registration{Name: name, Commands: commands}, ""); err != nil {
		r.t.Fatal(err)
	}
}

func durably(typ, worker string) damrey.Command {
	return damrey.Command{Name: typ, Worker: worker, Delivery: damrey.Durable}
}

// serve runs a worker until the end of the test, or until stop.
func (r *deadRig) serve(name string, handler damrey.HandlerFunc) (w *damrey.Instance, stop func()) {
	r.t.Helper()
	w = damrey.New(damrey.Config{Name: name}, zerolog.Nop(), damrey.WithConnect(damrey.ConnectConfig{URL: r.srv.ClientURL()}))
	if handler != nil {
		w.Handle("*", handler)
	}
	done := make(chan error, 1)
	go func() { done <- w.Serve(context.Background()) }()
	stop = sync.OnceFunc(func() {
		w.Stop()
		if err := <-done; err != nil {
			r.t.Errorf("%s: %v", name, err)
		}
	})
	r.t.Cleanup(stop)
	await(r.t, w.Ready())
	return w, stop
}

// bury makes the library write dead letters: src sends each message to w, which gives it up with its first argument.
func (r *deadRig) bury(messages ...damrey.Msg) {
	r.t.Helper()
	before := r.stored("DAMREY_DEAD")
	r.register("w")
	_, stopW := r.serve("w", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		return nil, damrey.Discard(errors.New("no " + in.Arg(0)))
	})
	src, stopSrc := r.serve("src", nil)
	for i, m := range messages {
		if err := src.Send(r.t.Context(), m.Type(), m.Args()...); err != nil {
			r.t.Fatal(err)
		}
		eventually(r.t, "it is a dead letter", func() bool { return r.stored("DAMREY_DEAD") == before+uint64(i)+1 })
	}
	stopSrc()
	stopW()
}

func (r *deadRig) stored(stream string) uint64 {
	r.t.Helper()
	s, err := r.js.Stream(r.t.Context(), stream)
	if err != nil {
		r.t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

// jobs are the messages that are stored for a worker, without ids.
func (r *deadRig) jobs(worker string) uint64 {
	r.t.Helper()
	ids, err := bucket.IDs(r.t.Context(), r.js, "damrey", worker)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.stored("DAMREY_JOBS_"+worker) - ids
}

// restart stops the broker and starts it with what it has stored.
func (r *deadRig) restart() {
	r.t.Helper()
	dir, port := filepath.Dir(r.srv.JetStreamConfig().StoreDir), r.srv.Addr().(*net.TCPAddr).Port
	stopNATS(r.srv)
	r.srv = startNATS(r.t, dir, port)
	r.t.Cleanup(r.stop) // before the broker
	eventually(r.t, "the streams are back", func() bool {
		_, err := r.js.Stream(r.t.Context(), "DAMREY_DEAD")
		return err == nil
	})
}

// write puts a letter there as no instance would.
func (r *deadRig) write(subject, payload string) {
	r.t.Helper()
	if _, err := r.js.Publish(r.t.Context(), subject, []byte(payload)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *deadRig) list(f api.DeadFilter) api.DeadList {
	r.t.Helper()
	list, err := r.api.Dead(r.t.Context(), f)
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}

func sequences(list api.DeadList) string {
	all := make([]uint64, len(list.Letters))
	for i, l := range list.Letters {
		all[i] = l.Sequence
	}
	return strings.Trim(fmt.Sprint(all), "[]")
}

func message(typ string, args ...string) damrey.Msg { return damrey.NewRequest(typ, args...) }

func TestDead_WithoutAStreamIsEmpty(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	if got := strings.TrimSpace(r.must(200, "GET", "/v1/dead", "").body); got != `{"letters":[],"total":0}` {
		t.Error(got)
	}
}

func TestDead_ListsWhatTheLibraryBuried(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	r.register("src", durably("*", "w"))
	began := time.Now()
	r.bury(message("order", "stock", "3"), message("order", "money"), message("mail", "stock"))
	list := r.list(api.DeadFilter{})
	if sequences(list) != "1 2 3" || list.Total != 3 || list.Next != 0 {
		t.Fatalf("%+v", list)
	}
	l := list.Letters[0]
	if l.Worker != "w" || l.Type != "order" || l.From != "src" || l.ID == "" || l.Error != "no stock" || l.Failures != 1 ||
		l.Delivered != 1 || l.Instance == "" || l.Size == 0 || !slices.Equal(l.Message, message("order", "stock", "3")) {
		t.Errorf("%+v", l)
	}
	if l.Time.Before(began.Add(-time.Second)) || l.Time.After(time.Now().Add(time.Second)) {
		t.Errorf("time %v", l.Time)
	}
	second := list.Letters[1].Time
	for want, f := range map[string]api.DeadFilter{
		"1 2 3": {Worker: "w", From: "src"},
		"":      {Worker: "v"},
		"1 2":   {Type: "order"},
		"3":     {Type: "mail", Error: "stock"},
		"1 3":   {Error: "stock"},
		"2":     {Since: second, Until: second},
		"2 3":   {Since: second},
		"2 3 ":  {After: 1},
		"3 ":    {After: 1, Since: second, Type: "mail"},
		" ":     {After: 3},
		"  ":    {From: "other"},
	} {
		if got := r.list(f); sequences(got) != strings.TrimSpace(want) || got.Total != 3 || got.Next != 0 {
			t.Errorf("%+v: %s, next %d, total %d; want %q", f, sequences(got), got.Next, got.Total, want)
		}
	}
	one, err := r.api.DeadLetter(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if one.Sequence != 2 || !slices.Equal(one.Message, message("order", "money")) || one.Payload != nil || !one.Time.Equal(second) {
		t.Errorf("%+v", one)
	}
	if got := one.Headers[damrey.HeaderDeadWorker]; len(got) != 1 || got[0] != "w" || one.Headers["Nats-Sequence"] != nil {
		t.Errorf("headers %v", one.Headers)
	}
}

func TestDead_ListsWhatIsNoLetter(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	r.write("damrey.dead.w.x.src", "nonsense")
	r.write("damrey.dead.w.x", "\x92\xa7REQUEST\xa1x")
	r.write("damrey.dead.w.x.src", "\x93\xa7REQUEST\xa1x\xa1\xff")
	list := r.list(api.DeadFilter{})
	if sequences(list) != "1 2 3" || list.Letters[0].Message != nil || list.Letters[1].From != "" || list.Letters[2].Message != nil {
		t.Errorf("%+v", list)
	}
	if list.Letters[0].Text != "nonsense" || list.Letters[1].Text != "" || list.Letters[2].Text != "" {
		t.Errorf("%+v", list)
	}
	r.write("damrey.dead.w.x.src", "bell \a")
	r.write("damrey.dead.w.x.src", strings.Repeat("ä\n", 500))
	if more := r.list(api.DeadFilter{}).Letters[3:]; more[0].Text != "" || more[1].Text != strings.Repeat("ä\n", 100) {
		t.Errorf("%+v", more)
	}
	one, err := r.api.DeadLetter(t.Context(), 1)
	if err != nil || string(one.Payload) != "nonsense" || one.Message != nil {
		t.Errorf("%+v, %v", one, err)
	}
	for sequence, says := range map[uint64]string{1: "is no message", 2: "names no type and sender"} {
		if _, err := r.api.RetryDead(t.Context(), sequence); status(err) != 409 || !strings.Contains(err.Error(), says) {
			t.Errorf("%d: %v", sequence, err)
		}
	}
	if r.stored("DAMREY_DEAD") != 5 {
		t.Error("a letter that could not be retried is gone")
	}
}

func TestDead_PagesThroughAll(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	const n = 2345
	for i := range n {
		subject := fmt.Sprintf("damrey.dead.w.t%d.src", i%3)
		if _, err := r.js.PublishAsync(subject, []byte(`["REQUEST","x"]`)); err != nil {
			t.Fatal(err)
		}
	}
	<-r.js.PublishAsyncComplete()
	for _, c := range []struct {
		f     api.DeadFilter
		want  int
		pages int
	}{
		{api.DeadFilter{Limit: 1000}, n, 3},
		{api.DeadFilter{Limit: 1000, Type: "t1"}, 782, 1},
		{api.DeadFilter{}, n, 24},
		{api.DeadFilter{Limit: 67, Type: "t0"}, 782, 12},
	} {
		var got, pages int
		last := uint64(0)
		for f := c.f; ; pages++ {
			list := r.list(f)
			for _, l := range list.Letters {
				if l.Sequence <= last {
					t.Fatalf("%+v: %d after %d", c.f, l.Sequence, last)
				}
				last = l.Sequence
			}
			got += len(list.Letters)
			if f.After = list.Next; f.After == 0 {
				pages++
				break
			}
		}
		if got != c.want || pages != c.pages {
			t.Errorf("%+v: %d letters on %d pages, want %d on %d", c.f, got, pages, c.want, c.pages)
		}
	}
}

func TestDead_AnAnswerOfLargeLettersIsBounded(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	large := `["REQUEST","x","` + strings.Repeat("a", 900<<10) + `"]`
	for range 8 {
		r.write("damrey.dead.w.x.src", large)
	}
	list := r.list(api.DeadFilter{})
	if sequences(list) != "1 2 3 4 5" || list.Next != 5 {
		t.Errorf("%s, next %d", sequences(list), list.Next)
	}
	if rest := r.list(api.DeadFilter{After: list.Next}); sequences(rest) != "6 7 8" || rest.Next != 0 {
		t.Errorf("%s, next %d", sequences(rest), rest.Next)
	}
}

func TestDead_RetriesOnADurableRouteOfToday(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	r.register("src", durably("order", "w"))
	r.bury(message("order", "stock"))
	letter := r.list(api.DeadFilter{}).Letters[0]
	if err := bucket.EnsureJobs(t.Context(), r.js, "damrey", "v", bucket.Limits{}); err != nil {
		t.Fatal(err)
	}
	r.register("src", damrey.Command{Name: "*", Worker: "v", Delivery: damrey.Durable, MPU: 3, Attempts: 2, Backoff: damrey.Duration(time.Minute)})
	r.register("v")
	done, err := r.api.RetryDead(t.Context(), 1)
	if err != nil || done != (api.Retried{Sequence: 1, Route: "src→order→v", Delivery: "durable"}) {
		t.Fatalf("%+v, %v", done, err)
	}
	stream, err := r.js.Stream(t.Context(), "DAMREY_JOBS_v")
	if err != nil {
		t.Fatal(err)
	}
	m, err := stream.GetLastMsgForSubject(t.Context(), "damrey.job.v.order.src")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Nats-Msg-Id": fmt.Sprintf("retry.1.%x.%s", letter.Time.UnixNano(), letter.ID), "Damrey-Cost": "3", "Damrey-Attempts": "2", "Damrey-Backoff": "1m0s",
		"Damrey-Reply": "", "Damrey-Hops": "", "Damrey-Error": "", "Damrey-ID": letter.ID, "Damrey-Lineage": "",
	} {
		if got := m.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if r.stored("DAMREY_DEAD") != 0 {
		t.Error("the letter is still there")
	}
	got := make(chan damrey.Msg, 1)
	r.serve("v", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) { got <- in; return nil, nil })
	select {
	case in := <-got:
		if !slices.Equal(in, message("order", "stock")) {
			t.Errorf("%q", in)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the message did not arrive")
	}
	if _, err := r.api.RetryDead(t.Context(), 1); status(err) != 404 {
		t.Errorf("once more: %v", err)
	}
}

// A retried message that fails again is a new letter, and keeps its id.
func TestDead_RetriesAgainAndAgain(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	r.register("src", durably("order", "w"))
	r.bury(message("order", "stock"))
	id := r.list(api.DeadFilter{}).Letters[0].ID
	ids := make(chan string, 10)
	r.serve("w", func(ctx context.Context, _ damrey.Msg) (damrey.Msg, error) {
		ids <- damrey.MessageID(ctx)
		return nil, damrey.Discard(errors.New("still none"))
	})
	for sequence := uint64(1); sequence < 5; sequence++ {
		if _, err := r.api.RetryDead(t.Context(), sequence); err != nil {
			t.Fatal(err)
		}
		eventually(t, fmt.Sprintf("it is a letter again after %d retries", sequence), func() bool {
			return sequences(r.list(api.DeadFilter{})) == fmt.Sprint(sequence+1)
		})
		if got, seen := r.list(api.DeadFilter{}).Letters[0].ID, <-ids; got != id || seen != id {
			t.Errorf("id %s, and %s in the handler, not %s", got, seen, id)
		}
	}
}

func TestDead_CountsHopsAnewAndDropsTheReply(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	r.register("src", durably("x", "w"))
	m := nats.NewMsg("damrey.dead.w.x.src")
	m.Data = []byte(`["REQUEST","x"]`)
	for name, value := range map[string]string{"Damrey-Path": "src.a.b odd b.c.w", "Damrey-ID": "a", "Damrey-Lineage": "a.1", "Damrey-Hops": "12", "Damrey-Reply": "_INBOX.x", "Damrey-Cost": "9"} {
		m.Header.Set(name, value)
	}
	if _, err := r.js.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	detail, err := r.api.DeadLetter(t.Context(), 1)
	if err != nil || !slices.Equal(detail.Path, []string{"src→a→b", "b→c→w"}) {
		t.Errorf("it came by %q, %v", detail.Path, err)
	}
	if _, err := r.api.RetryDead(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	stream, err := r.js.Stream(t.Context(), "DAMREY_JOBS_w")
	if err != nil {
		t.Fatal(err)
	}
	job, err := stream.GetLastMsgForSubject(t.Context(), "damrey.job.w.x.src")
	if err != nil || job.Header.Get("Damrey-Hops") != "" || job.Header.Get("Damrey-Reply") != "" || job.Header.Get("Damrey-Cost") != "" {
		t.Errorf("%v, %v", job.Header, err)
	}
	if job.Header.Get("Damrey-ID") != "a" || job.Header.Get("Damrey-Lineage") != "a.1" || job.Header.Get("Nats-Msg-Id") != fmt.Sprintf("retry.1.%x.a", detail.Time.UnixNano()) {
		t.Errorf("it is another message now: %v", job.Header)
	}
}

func TestDead_RetriesOnADirectRoute(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	r.register("src", durably("order", "w"))
	r.bury(message("order", "stock"))
	r.register("src", damrey.Command{Name: "order", Worker: "v"})
	r.register("v")
	_, err := r.api.RetryDead(t.Context(), 1)
	if status(err) != 409 || !strings.Contains(err.Error(), `no instance of "v" is there`) || !strings.Contains(err.Error(), "the letter stays") {
		t.Fatalf("%v", err)
	}
	if r.stored("DAMREY_DEAD") != 1 {
		t.Fatal("the letter is gone, and nobody took it")
	}
	got := make(chan damrey.Msg, 1)
	r.serve("v", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) { got <- in; return nil, nil })
	done, err := r.api.RetryDead(t.Context(), 1)
	if err != nil || done != (api.Retried{Sequence: 1, Route: "src→order→v", Delivery: "direct"}) {
		t.Fatalf("%+v, %v", done, err)
	}
	select {
	case in := <-got:
		if !slices.Equal(in, message("order", "stock")) {
			t.Errorf("%q", in)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the message did not arrive")
	}
	if r.stored("DAMREY_DEAD") != 0 {
		t.Error("the letter is still there")
	}
}

// An instance of a paused worker drops a send, so a letter is sent to none.
func TestDead_LettersStayWhileADirectRouteIsPaused(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	r.write("damrey.dead.v.order.src", `["REQUEST","order","stock"]`)
	got := make(chan damrey.Msg, 1)
	r.register("v")
	r.serve("v", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		select {
		case got <- in:
		default: // one is enough
		}
		return nil, nil
	})
	for _, c := range []struct {
		command      damrey.Command
		targetPaused bool
		says         string
	}{
		{damrey.Command{Name: "order", Worker: "v", Paused: true}, false, "the route is paused; resume it with `damrey route resume src order` (src→order→v)"},
		{damrey.Command{Name: "*", Worker: "v", Paused: true}, false, "`damrey route resume src '*'`"},
		{damrey.Command{Name: "order", Worker: "v"}, true, "worker \"v\" is paused; resume it with `damrey worker resume v` (src→order→v)"},
	} {
		r.register("src", c.command)
		if _, err := r.api.Put(t.Context(), damrey.Registration{Name: "v", Paused: c.targetPaused}, ""); err != nil {
			t.Fatal(err)
		}
		_, err := r.api.RetryDead(t.Context(), 1)
		if status(err) != 409 || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "the letter stays") {
			t.Errorf("%+v: %v", c, err)
		}
		if r.stored("DAMREY_DEAD") != 1 {
			t.Fatalf("%+v: the letter is gone", c)
		}
	}
	r.register("v")
	sequence := uint64(0)
	eventually(t, "a message arrives when the instance has heard that its worker is resumed", func() bool {
		sequence++
		if _, err := r.api.RetryDead(t.Context(), sequence); err != nil {
			t.Fatal(err)
		}
		r.write("damrey.dead.v.order.src", `["REQUEST","order","stock"]`)
		return len(got) > 0
	})
}

// A durable route that is paused stores a letter's message where its others wait.
func TestDead_RetriesOnADurableRouteThatIsPaused(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	got := make(chan damrey.Msg, 1)
	r.register("w")
	r.serve("w", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) { got <- in; return nil, nil })
	route := durably("order", "w")
	route.Paused = true
	r.register("src", route)
	r.write("damrey.dead.w.order.src", `["REQUEST","order","stock"]`)
	if _, err := r.api.RetryDead(t.Context(), 1); err != nil || r.stored("DAMREY_DEAD") != 0 {
		t.Fatalf("%v, %d letters", err, r.stored("DAMREY_DEAD"))
	}
	held, err := bucket.HeldCount(t.Context(), r.js, "damrey", "w")
	if err != nil || held != 1 || len(got) != 0 {
		t.Fatalf("%d wait aside, %d were handled; %v", held, len(got), err)
	}
	r.register("src", durably("order", "w"))
	select {
	case in := <-got:
		if !slices.Equal(in, message("order", "stock")) {
			t.Errorf("%q", in)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the message did not go on when its route was resumed")
	}
}

// A program without the library may answer whatever has a reply subject.
func TestDead_RetriesToAPlainWorker(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	r.register("src", damrey.Command{Name: "x", Worker: "plain"})
	plain := connect(t, r.srv)
	var n atomic.Int64
	if _, err := plain.QueueSubscribe("damrey.msg.plain.*.*", "plain", func(m *nats.Msg) { n.Add(1); _ = m.Respond([]byte("thanks")) }); err != nil {
		t.Fatal(err)
	}
	if err := plain.Flush(); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		r.write("damrey.dead.plain.x.src", `["REQUEST","x"]`)
		if _, err := r.api.RetryDead(t.Context(), uint64(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all arrived", func() bool { return n.Load() == 20 })
}

func TestDead_LettersWithoutARouteStay(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	r.register("src", durably("order", "w"))
	r.bury(message("order", "stock"))
	for _, c := range []struct {
		prepare func()
		says    []string
	}{
		{func() { r.register("src") }, []string{`no route for type "order"`, "`damrey worker chg src --command order=w,durable`"}},
		{func() { r.must(200, "DELETE", "/v1/workers/src", "") }, []string{`worker "src" is not registered`, "`damrey worker add src --command order=w,durable`"}},
		{func() {
			r.must(201, "POST", "/worker/add", `{"name":"none","max_messages":1}`)
			r.register("src", durably("order", "none"))
			eventually(t, "the proxy has made the stream", func() bool {
				_, err := r.js.Stream(t.Context(), "DAMREY_JOBS_none")
				return err == nil
			})
			r.write("damrey.job.none.x.y", "1")
		}, []string{"takes no more", "maximum messages exceeded", "raise max_messages"}},
		{func() {
			if _, err := r.bucket("damrey_workers").PutString(t.Context(), "src", "{"); err != nil {
				t.Fatal(err)
			}
		}, []string{`entry of worker "src" cannot be read`}},
	} {
		c.prepare()
		_, err := r.api.RetryDead(t.Context(), 1)
		if status(err) != 409 {
			t.Fatalf("%v", err)
		}
		for _, text := range append(c.says, "the letter stays") {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("says nothing of %q: %v", text, err)
			}
		}
		if r.stored("DAMREY_DEAD") != 1 {
			t.Fatalf("the letter is gone after %v", err)
		}
	}
}

func TestDead_RetriedFromManyTerminalsIsStoredOnce(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	r.register("src", durably("order", "w"))
	r.bury(message("order", "stock"))
	for range 20 { // more of them, without the time that handling takes
		r.write("damrey.dead.w.order.src", `["REQUEST","order","stock"]`)
	}
	other := startProxy(t, r.srv, proxyd.Config{})
	await(t, other.proxy.Ready())
	clients := []*api.Client{r.api, other.client()}
	for sequence := uint64(1); sequence <= 21; sequence++ {
		var won atomic.Int64
		var wg sync.WaitGroup
		for terminal := range 8 {
			wg.Go(func() {
				_, err := clients[terminal%2].RetryDead(t.Context(), sequence)
				switch {
				case err == nil:
					won.Add(1)
				case status(err) != http.StatusNotFound && status(err) != http.StatusGone:
					t.Errorf("terminal %d: %v", terminal, err)
				}
			})
		}
		wg.Wait()
		// One at each proxy at most: when both store it, the one whose copy was no news may be the one that removes the letter.
		if n := won.Load(); n < 1 || n > 2 {
			t.Errorf("letter %d: %d of 8 terminals retried it", sequence, n)
		}
		if got := r.stored("DAMREY_JOBS_w"); got != sequence {
			t.Fatalf("%d messages stored of %d letters", got, sequence)
		}
	}
	if r.stored("DAMREY_DEAD") != 0 {
		t.Error("letters are left")
	}
}

// Without a dead letter that can be removed, it is said that the message is stored, and it is stored once.
func TestDead_SaysThatItCouldNotBeRemoved(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	stream, err := r.js.Stream(t.Context(), "DAMREY_DEAD")
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	if err := r.js.DeleteStream(t.Context(), cfg.Name); err != nil {
		t.Fatal(err)
	}
	cfg.DenyDelete = true
	if _, err := r.js.CreateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	r.register("src", durably("x", "w")) // from now on the proxy makes the stream too
	r.write("damrey.dead.w.x.src", `["REQUEST","x"]`)
	for range 3 {
		_, err := r.api.RetryDead(t.Context(), 1)
		if status(err) != 503 || !strings.Contains(err.Error(), "is stored (src→x→w)") || !strings.Contains(err.Error(), "`damrey dead purge 1`") {
			t.Errorf("%v", err)
		}
	}
	if got := r.jobs("w"); got != 1 {
		t.Errorf("%d stored", got)
	}
	// The first letter of a stream that is made anew is another one.
	r.stop() // it would make the stream at the same moment
	if err := r.js.DeleteStream(t.Context(), cfg.Name); err != nil {
		t.Fatal(err)
	}
	if err := bucket.EnsureDead(t.Context(), r.js, "damrey"); err != nil {
		t.Fatal(err)
	}
	r.write("damrey.dead.w.x.src", `["REQUEST","x"]`)
	next := startProxy(t, r.srv, proxyd.Config{})
	await(t, next.proxy.Ready())
	if _, err := next.client().RetryDead(t.Context(), 1); err != nil || r.jobs("w") != 2 || r.stored("DAMREY_DEAD") != 0 {
		t.Errorf("%v, %d stored, %d letters", err, r.jobs("w"), r.stored("DAMREY_DEAD"))
	}
}

// A proxy that ends between storing a letter's message and removing the letter leaves the letter. It is not stored again, even
// when the message was done since and the broker has forgotten its id.
func TestDead_ARetryThatWasInterruptedIsStoredOnce(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	r.register("w")
	r.register("src", durably("order", "w"))
	var calls atomic.Int64
	ids := make(chan string, 2)
	_, stopW := r.serve("w", func(ctx context.Context, _ damrey.Msg) (damrey.Msg, error) {
		ids <- damrey.MessageID(ctx)
		if calls.Add(1) == 1 {
			return nil, damrey.Discard(errors.New("no stock"))
		}
		return nil, nil
	})
	src, stopSrc := r.serve("src", nil)
	if err := src.With(damrey.WithID("order-42")).Send(t.Context(), "order", "stock"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is a dead letter, and done", func() bool { return r.stored("DAMREY_DEAD") == 1 && r.jobs("w") == 0 })
	dead, err := r.js.Stream(t.Context(), "DAMREY_DEAD")
	if err != nil {
		t.Fatal(err)
	}
	letter, err := dead.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	first, last := bucket.Both("interrupted", bucket.RetryMarker("damrey", "w", letter), &nats.Msg{
		Subject: "damrey.job.w.order.src", Data: letter.Data,
		Header: nats.Header{damrey.HeaderID: {bucket.RetryID(letter) + ".order-42"}, damrey.HeaderOriginalID: {"order-42"}},
	})
	if err := r.nc.PublishMsg(first); err != nil {
		t.Fatal(err)
	}
	if _, err := r.js.PublishMsg(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the retried message is done", func() bool { return calls.Load() == 2 && r.jobs("w") == 0 })
	stopSrc()
	stopW()
	r.restart()
	eventually(t, "the proxy is back and removes the letter", func() bool {
		done, err := r.api.RetryDead(t.Context(), 1)
		return err == nil && done == api.Retried{Sequence: 1, Route: "src→order→w", Delivery: "durable"}
	})
	if r.stored("DAMREY_DEAD") != 0 || r.jobs("w") != 0 || calls.Load() != 2 {
		t.Errorf("%d letters, %d jobs, handled %d times", r.stored("DAMREY_DEAD"), r.jobs("w"), calls.Load())
	}
	if one, two := <-ids, <-ids; one != "order-42" || two != one {
		t.Errorf("its ids were %q and %q", one, two)
	}
	if left := r.stored("DAMREY_JOBS_w"); left != 1 { // the sender's own id
		t.Errorf("%d ids are left", left)
	}
}

// A stream that takes no batches, as a server before 2.12 or somebody by hand makes it, gets the message alone.
func TestDead_RetriesWithoutBatches(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	cfg := jetstream.StreamConfig{
		Name: "DAMREY_JOBS_v", Subjects: []string{"damrey.job.v.>", "damrey.held.v.>", "damrey.id.v.>"},
		Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew, AllowDirect: true,
	}
	if _, err := r.js.CreateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	r.register("src", durably("x", "v"))
	r.write("damrey.dead.v.x.src", `["REQUEST","x"]`)
	if _, err := r.api.RetryDead(t.Context(), 1); err != nil || r.stored("DAMREY_JOBS_v") != 1 || r.stored("DAMREY_DEAD") != 0 {
		t.Errorf("%v, %d stored, %d letters", err, r.stored("DAMREY_JOBS_v"), r.stored("DAMREY_DEAD"))
	}
}

func TestDead_Purges(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	for range 3 {
		r.write("damrey.dead.w.x.src", `["REQUEST","x"]`)
	}
	if err := r.api.PurgeDead(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if got := r.list(api.DeadFilter{}); sequences(got) != "1 3" || got.Total != 2 {
		t.Errorf("%+v", got)
	}
	for _, gone := range []uint64{2, 9} {
		if err := r.api.PurgeDead(t.Context(), gone); status(err) != 404 || !strings.Contains(err.Error(), fmt.Sprintf("no dead letter %d", gone)) {
			t.Errorf("%v", err)
		}
	}
	if _, err := r.api.RetryDead(t.Context(), 2); status(err) != 404 {
		t.Errorf("%v", err)
	}
}
