package damrey_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/damrey/damrey"
	"github.com/nats-io/nats.go"
)

// timesOut makes requests that do until one is known to have been somewhere. On
// a machine that is short of cores the answers may come too late for one.
func (f *fabric) timesOut(w *damrey.Instance, budget time.Duration, typ, where, state string) *damrey.TimeoutError {
	f.t.Helper()
	for end := time.Now().Add(patience); ; {
		ctx, cancel := context.WithTimeout(context.Background(), budget)
		_, err := w.Request(ctx, typ, "1")
		cancel()
		timeout, ok := errors.AsType[*damrey.TimeoutError](err)
		if !ok {
			f.t.Fatalf("%v is no TIMEOUT", err)
		}
		f.t.Log(err)
		var sum time.Duration
		for _, h := range timeout.Path {
			sum += h.Spent
		}
		n := len(timeout.Path)
		if n > 0 && timeout.Where == where && timeout.Path[n-1].State == state && sum >= budget*9/10 && sum <= timeout.Spent+budget/10 {
			return timeout
		}
		if time.Now().After(end) {
			f.t.Fatalf("%v: %+v; it was %s at %s, and the hops make up the budget", err, timeout.Path, state, where)
		}
	}
}

func hang(ctx context.Context, _ damrey.Msg) (damrey.Msg, error) {
	<-ctx.Done()
	time.Sleep(time.Second / 2) // the requester's clock is first
	return nil, ctx.Err()
}

func TestTimeout_NamesTheHandlerThatIsSlow(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("entry", to("add", "add"))
	f.register("add", to("square", "square"))
	f.register("square", to("log", "log"))
	f.register("log")
	add := f.worker("add", forward("square"))
	square := f.worker("square", hang)
	f.worker("log", echo)
	got := f.timesOut(f.worker("entry", echo), 2*time.Second, "add", "add→square→square", damrey.HopHandling)
	if len(got.Path) != 2 {
		t.Fatalf("%v: %+v", got, got.Path)
	}
	first, last := got.Path[0], got.Path[1]
	if first.State != damrey.HopForwarded || first.Route != "entry→add→add" || first.Instance != add.ID() {
		t.Errorf("%+v", first)
	}
	if last.State != damrey.HopHandling || last.Instance != square.ID() || last.For < time.Second {
		t.Errorf("%+v", last)
	}
	if text := got.Error(); !strings.Contains(text, "timeout at add→square→square (handling for ") || !strings.Contains(text, ": entry→add→add ") {
		t.Error(text)
	}
}

// One with mpu 1 is busy with another message.
func TestTimeout_NamesTheQueueAtTheThirdHop(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("entry", to("add", "add"), to("block", "log"))
	f.register("add", to("square", "square"))
	f.register("square", to("log", "log"))
	f.put(damrey.Registration{Name: "log", MPU: 1})
	f.worker("add", forward("square"))
	f.worker("square", forward("log"))
	entered, release := make(chan struct{}), make(chan struct{})
	log := f.worker("log", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		if in.Type() == "block" {
			close(entered)
			<-release
		}
		return nil, nil
	})
	defer close(release)
	entry := f.worker("entry", echo)
	must(t, entry.Send(f.context(), "block"))
	await(t, "the worker is busy", entered)
	got := f.timesOut(entry, 2*time.Second, "add", "square→log→log", damrey.HopQueued)
	last := got.Path[len(got.Path)-1]
	if len(got.Path) != 3 || last.Instance != log.ID() || last.For < time.Second {
		t.Errorf("%v: %+v", got, got.Path)
	}
}

// A subscription that never answers stands for an instance that is gone without
// its connection having ended.
func TestTimeout_SaysThatNobodyHasIt(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("entry", to("add", "add"))
	f.register("add")
	nc := f.connect()
	_, err := nc.QueueSubscribe("damrey.msg.add.*.*", "add", func(*nats.Msg) {})
	must(t, err)
	must(t, nc.Flush())
	got := f.timesOut(f.worker("entry", echo), time.Second, "add", "entry→add→add", damrey.HopUnknown)
	if !strings.Contains(got.Error(), "no instance there says that it has it") {
		t.Errorf("%v: %+v", got, got.Path)
	}
}

func TestTimeout_FollowsADurableHop(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.jobs("square")
	middle := to("square", "square")
	middle.Delivery = damrey.Durable
	f.register("entry", to("add", "add"))
	f.register("add", middle)
	f.register("square")
	f.worker("add", forward("square"))
	entry := f.worker("entry", echo)
	waits := f.timesOut(entry, 2*time.Second, "add", "add→square→square", damrey.HopStored)
	f.worker("square", hang)
	runs := f.timesOut(entry, 3*time.Second, "add", "add→square→square", damrey.HopHandling)
	for _, got := range []*damrey.TimeoutError{waits, runs} {
		if !got.Stored || !strings.Contains(got.Error(), "the message is stored and will be handled") {
			t.Errorf("%v: %+v", got, got.Path)
		}
	}
}

func TestTimeout_StoredAtTheFirstHopSaysSo(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.jobs("add")
	command := to("add", "add")
	command.Delivery = damrey.Durable
	f.register("entry", command)
	f.register("add")
	got := f.timesOut(f.worker("entry", echo), time.Second, "add", "entry→add→add", damrey.HopStored)
	if !got.Stored || !strings.Contains(got.Error(), "the message is stored and will be handled") {
		t.Errorf("%v: %+v", got, got.Path)
	}
}

// A hop that notices itself that the time is up says where in headers.
func TestTimeout_OverTheWireSaysWhere(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("add")
	w := f.instance(damrey.Config{Name: "add", Timeout: 50 * time.Millisecond})
	w.Handle("*", func(ctx context.Context, _ damrey.Msg) (damrey.Msg, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	f.serve(w)
	answer, err := f.connect().Request("damrey.msg.add.add.entry", []byte(`["REQUEST","add"]`), patience)
	must(t, err)
	spent, err := time.ParseDuration(answer.Header.Get("Damrey-Spent"))
	if string(answer.Data) != `["TIMEOUT"]` || answer.Header.Get("Damrey-Where") != "entry→add→add" || err != nil || spent < 50*time.Millisecond {
		t.Errorf("%s %v", answer.Data, answer.Header)
	}
}

// A storm costs a bounded number of questions, and a request that is answered
// none.
func TestTimeout_AStormAsksLittle(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("entry", to("add", "add"), to("echo", "echo"))
	f.put(damrey.Registration{Name: "add", MPU: 1})
	f.register("echo")
	var questions atomic.Int64
	nc := f.connect()
	_, err := nc.Subscribe(damrey.WhereSubject(damrey.DefaultPrefix, "*"), func(*nats.Msg) { questions.Add(1) })
	must(t, err)
	must(t, nc.Flush())
	f.worker("echo", echo)
	f.worker("add", hang, damrey.WithQueue(20000))
	entry := f.worker("entry", echo)
	for range 100 {
		_, err := entry.Request(f.context(), "echo")
		must(t, err)
	}
	if n := questions.Load(); n != 0 {
		t.Errorf("%d questions for requests that were answered", n)
	}
	began := time.Now()
	const storm = 2000
	var all sync.WaitGroup
	var ended, asked atomic.Int64
	for range storm {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			_, err := entry.Request(ctx, "add")
			if timeout, ok := errors.AsType[*damrey.TimeoutError](err); ok {
				ended.Add(1)
				asked.Add(int64(min(1, len(timeout.Path))))
			}
		})
	}
	all.Wait()
	must(t, nc.Flush())
	most := int64(2 * 10 * (int(time.Since(began)/time.Second) + 2)) // each at the worker and at the bridges
	if ended.Load() != storm || asked.Load() == 0 {
		t.Errorf("%d timed out, %d of them know where", ended.Load(), asked.Load())
	}
	if n := questions.Load(); n == 0 || n > most {
		t.Errorf("%d questions, not 1 to %d", n, most)
	}
}

// Nobody learns where a message is whose reply subject is no inbox, and forged
// answers do no harm.
func TestTimeout_ForgedQuestionsAndAnswers(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("entry", to("add", "add"))
	f.register("add")
	nc := f.connect()
	forged := []string{
		``, `{`, `{"hop":0,"state":"handling","from":"<b>","type":"a","to":"b"}`, `{"hop":-1,"state":"handling","from":"a","type":"a","to":"b"}`,
		`{"hop":70,"state":"handling","from":"a","type":"a","to":"b"}`, `{"hop":0,"state":"?","from":"a","type":"a","to":"b"}`,
		`{"hop":0,"state":"handling","from":"a","type":"a","to":"b","for_ms":-1}`, `{"hop":0,"state":"handling","from":"a","type":"a","to":"b","for_ms":1e300}0`,
	}
	_, err := nc.QueueSubscribe("damrey.msg.add.*.*", "add", func(*nats.Msg) {})
	must(t, err)
	_, err = nc.Subscribe("damrey.where.add", func(m *nats.Msg) {
		for _, text := range forged {
			_ = m.Respond([]byte(text)) // one that cannot leave is none
		}
	})
	must(t, err)
	must(t, nc.Flush())
	entry := f.worker("entry", echo)
	f.timesOut(entry, time.Second, "add", "entry→add→add", damrey.HopUnknown)
	f.worker("add", echo)
	for _, question := range []string{``, `{`, `{"message":"","hop":0}`, `{"message":"x","hop":-5}`, strings.Repeat("[", 10000)} {
		must(t, nc.Publish("damrey.where.entry", []byte(question)))
		for _, reply := range []string{"damrey.msg.add.add.entry", "_INBOX.x"} {
			must(t, nc.PublishRequest("damrey.where.entry", reply, []byte(question)))
		}
	}
	must(t, nc.Flush())
	if _, err := damrey.WhereQuestion("_INBOX.x", 0); err == nil {
		t.Error("a foreign reply subject is taken")
	}
	if hops := damrey.ReadHops("a→b", [][]byte{[]byte("x")}, 0, time.Second); len(hops) != 1 || hops[0].State != damrey.HopUnknown {
		t.Errorf("%+v", hops)
	}
	// Its answer came later than it was asked: nothing was so for longer than the request has taken.
	late := []byte(`{"hop":0,"from":"a","type":"b","to":"c","state":"handling","for_ms":995}`)
	if hops := damrey.ReadHops("a→b", [][]byte{late}, 990*time.Millisecond, time.Second); len(hops) != 1 || hops[0].For != time.Second {
		t.Errorf("%+v", hops)
	}
}
