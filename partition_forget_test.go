package damrey

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// owner owns partition 3 at a broker without JetStream, where the test says
// what is handed out.
type owner struct {
	*keyedWork
	t   *testing.T
	p   *partition
	ran chan string
}

func newOwner(t *testing.T) *owner {
	t.Helper()
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(srv.Shutdown)
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("the NATS server did not start")
	}
	nc, err := nats.Connect(srv.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	o := &owner{t: t, ran: make(chan string, 10)}
	w := New(Config{Name: "w"}, zerolog.Nop())
	w.Handle("*", func(_ context.Context, in Msg) (Msg, error) { o.ran <- in.Arg(1); return nil, nil })
	w.handling = t.Context()
	w.link = newLink(nc, DefaultPrefix, 1, nil, w.log, &w.stats, nil)
	o.keyedWork = newKeyedWork(w, nc, "DAMREY_JOBS_w", nc.NewInbox())
	o.p = newPartition(o.keyedWork, 3)
	o.p.settled, o.p.next = true, 1
	o.parts[3] = o.p
	o.crew = crew{id: w.id, publish: func(string) {}}
	// A client may not publish with such a reply subject, as the broker does.
	if _, err := nc.Subscribe("damrey.job.w.>", func(m *nats.Msg) { m.Reply = m.Header.Get("Reply"); o.receive(m) }); err != nil {
		t.Fatal(err)
	}
	return o
}

// handOut is the broker's. The message says its sequence.
func (o *owner) handOut(sequence, times, count int) {
	o.t.Helper()
	err := o.nc.PublishMsg(&nats.Msg{
		Subject: "damrey.job.w.x.src.3", Data: fmt.Appendf(nil, `["REQUEST","x","a","%d"]`, sequence), Header: nats.Header{
			HeaderKey: {"0"}, "Reply": {fmt.Sprintf("$JS.ACK.DAMREY_JOBS_w.key-3.%d.%d.%d.%d.0", times, sequence, count, time.Now().UnixNano())},
		},
	})
	if err != nil {
		o.t.Fatal(err)
	}
}

// until polls for a condition, with mu held.
func (o *owner) until(what string, ok func() bool) {
	o.t.Helper()
	is := func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return ok()
	}
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			o.t.Fatal("never came true: ", what)
		}
	}
}

// A message that is forgotten while it is read would hold its key for ever if
// it were queued then.
func TestPartition_ForgottenWhileItIsRead(t *testing.T) {
	t.Parallel()
	o := newOwner(t)
	asked := make(chan *nats.Msg, 1)
	if _, err := o.nc.ChanSubscribe("$JS.API.DIRECT.GET.DAMREY_TRIED.>", asked); err != nil {
		t.Fatal(err)
	}
	o.handOut(5, 2, 1)
	question := <-asked
	o.mu.Lock()
	o.p.forget() // as after a freeze
	o.p.settled = true
	o.mu.Unlock()
	if err := question.Respond([]byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	o.until("it is not in hand", func() bool { return len(o.w.jobs.list()) == 0 })
	o.handOut(5, 3, 2)
	if err := (<-asked).Respond([]byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	o.until("it waits until the broker says that no other is out", func() bool { return len(o.p.early) == 1 })
	o.mu.Lock()
	o.p.goOn()
	o.mu.Unlock()
	select {
	case <-o.ran:
	case <-time.After(10 * time.Second):
		t.Error("it came again, and never ran")
	}
}

// A message that was handed back by an owner that goes on is not overtaken.
func TestPartition_HandedBackAndNotOvertaken(t *testing.T) {
	t.Parallel()
	o := newOwner(t)
	o.w.view.Store(&view{row: &Row{Registration: Registration{Name: "w", Paused: true}}})
	o.handOut(5, 1, 1)
	o.until("it is handed back", func() bool { return o.w.stats.handedBack.Load() == 1 })
	o.w.view.Store(&view{row: &Row{Registration: Registration{Name: "w"}}})
	o.handOut(6, 1, 2)
	select {
	case n := <-o.ran:
		t.Errorf("%s ran before 5", n)
	case <-time.After(100 * time.Millisecond):
	}
	o.until("it waits until all is settled", func() bool { return len(o.p.early) == 1 })
}

// What is noted of a job is often begun where acknowledgements come in: waiting
// there for room would let none come any more.
func TestJob_NotesNeverWaitForRoom(t *testing.T) {
	t.Parallel()
	o := newOwner(t)
	for range storeLimit {
		m := &nats.Msg{Subject: "damrey.job.full.x.src", Header: nats.Header{}}
		if err := o.w.link.store(t.Context(), storing{msg: m, deadline: clock().add(time.Minute), done: func(error) {}}); err != nil {
			t.Fatal(err)
		}
	}
	began := make(chan struct{})
	go func() {
		defer close(began)
		in := &inbound{envelope: &envelope{}, job: &job{msg: &nats.Msg{Header: nats.Header{}}}}
		o.w.writeTried(in, "failed.1.0", func() {})
		o.w.bury(in, "why")
	}()
	select {
	case <-began:
	case <-time.After(5 * time.Second):
		t.Error("it waits for room")
	}
}

// answer makes the test JetStream's API, for one question of it.
func (o *owner) answer(api string, what func(m *nats.Msg) string) {
	o.t.Helper()
	_, err := o.nc.Subscribe("$JS.API."+api, func(m *nats.Msg) {
		if err := m.Respond([]byte(what(m))); err != nil {
			o.t.Error(err)
		}
	})
	if err != nil {
		o.t.Fatal(err)
	}
}

// While a cluster elects, JetStream refuses to tell of a consumer. Read as what
// it would tell, the refusal says that nothing was handed out: what had just come
// began before what was to come again.
func TestPartition_ARefusalIsNoInformation(t *testing.T) {
	t.Parallel()
	o := newOwner(t)
	refused := atomic.Bool{}
	refused.Store(true)
	o.answer("CONSUMER.INFO.DAMREY_JOBS_w.key-3", func(*nats.Msg) string {
		if refused.Load() {
			return `{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}`
		}
		return `{"delivered":{"consumer_seq":1,"stream_seq":5}}`
	})
	o.answer("STREAM.MSG.GET.DAMREY_JOBS_w", func(*nats.Msg) string { return `{"error":{"code":404,"err_code":10037}}` })
	o.answer("STREAM.INFO.DAMREY_JOBS_w", func(*nats.Msg) string { return `{"config":{"num_replicas":3},"state":{"last_seq":5}}` })
	settles := func() bool {
		o.mu.Lock()
		o.p.settled = false
		o.mu.Unlock()
		o.p.settle()
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.p.settled
	}
	if settles() {
		t.Error("a refusal was taken for the word that nothing is out")
	}
	refused.Store(false)
	if !settles() {
		t.Error("nothing is out, and it goes on waiting")
	}
}

// A message that the broker hands out while it takes the pin away has none. All
// that may be out was in hand then, and waited for a pin that never came.
func TestPartition_SettlesWithoutAPin(t *testing.T) {
	t.Parallel()
	o := newOwner(t)
	o.answer("CONSUMER.INFO.DAMREY_JOBS_w.key-3", func(*nats.Msg) string { return `{"num_ack_pending":1,"delivered":{"consumer_seq":1,"stream_seq":5}}` })
	o.answer("STREAM.MSG.GET.DAMREY_JOBS_w", func(*nats.Msg) string { return `{"message":{"seq":5}}` })
	o.answer("STREAM.INFO.DAMREY_JOBS_w", func(*nats.Msg) string { return `{"config":{"num_replicas":3},"state":{"last_seq":5}}` })
	o.mu.Lock()
	o.p.settled, o.p.pin = false, "gone"
	o.mu.Unlock()
	o.handOut(5, 1, 1)
	o.until("it is in hand, without a pin", func() bool { return o.p.pin == "" && len(o.p.early) == 1 })
	o.mu.Lock()
	due := o.p.look()
	o.mu.Unlock()
	for _, do := range due {
		do()
	}
	select {
	case <-o.ran:
	case <-time.After(10 * time.Second):
		t.Error("it waits for ever")
	}
}

// Counts may agree by chance; what is stored and was handed out must be in hand.
func TestPartition_LooksWhatIsStored(t *testing.T) {
	t.Parallel()
	o := newOwner(t)
	stored := []uint64{5, 9}
	o.answer("STREAM.MSG.GET.DAMREY_JOBS_w", func(m *nats.Msg) string {
		var asked struct {
			Sequence uint64 `json:"seq"`
			Subject  string `json:"next_by_subj"`
		}
		if json.Unmarshal(m.Data, &asked) != nil || asked.Subject != "damrey.job.w.*.*.3" {
			return `{"error":{"code":400,"err_code":10003}}`
		}
		if i := slices.IndexFunc(stored, func(s uint64) bool { return s >= asked.Sequence }); i >= 0 {
			return fmt.Sprintf(`{"message":{"seq":%d}}`, stored[i])
		}
		return `{"error":{"code":404,"err_code":10037}}`
	})
	var copies, last atomic.Int64
	copies.Store(1)
	last.Store(20)
	o.answer("STREAM.INFO.DAMREY_JOBS_w", func(*nats.Msg) string {
		return fmt.Sprintf(`{"config":{"num_replicas":%d},"state":{"last_seq":%d}}`, copies.Load(), last.Load())
	})
	o.mu.Lock()
	o.p.held[5] = &inbound{envelope: &envelope{}, job: &job{sequence: 5}}
	o.mu.Unlock()
	for upTo, want := range map[uint64]bool{4: true, 5: true, 8: true, 9: false, 20: false} {
		if got := o.p.hasAll(handedOut(0, upTo)); got != want {
			t.Errorf("up to %d: %v, want %v", upTo, got, want)
		}
	}
	if !o.p.hasAll(handedOut(9, 20)) {
		t.Error("what is below the floor is acknowledged, stored or not")
	}
	// One that does not come again for so long is acknowledged too.
	o.p.hasAll(handedOut(0, 20))
	o.mu.Lock()
	o.p.absent[9] = clock().add(-absentTime - time.Second)
	o.mu.Unlock()
	if !o.p.hasAll(handedOut(0, 20)) {
		t.Error("what never comes again stands in the way for ever")
	}
	o.mu.Lock()
	o.p.goOn()
	o.mu.Unlock()
	copies.Store(3)
	if o.p.hasAll(handedOut(9, 20)) {
		t.Error("with copies, a floor alone says nothing: in an election the consumer does not know of all")
	}
	// The next time it begins anew.
	o.mu.Lock()
	o.p.goOn()
	o.mu.Unlock()
	if o.p.hasAll(handedOut(9, 20)) {
		t.Error("one that has just been seen to be missing is taken for done")
	}
	copies.Store(1)
	o.mu.Lock()
	o.p.lose()
	o.mu.Unlock()
	if o.p.hasAll(handedOut(0, 20)) {
		t.Error("the broker was away, and may hand it out again")
	}
	o.mu.Lock()
	o.p.held[9] = &inbound{envelope: &envelope{}, job: &job{sequence: 9}}
	o.mu.Unlock()
	if !o.p.hasAll(handedOut(0, 20)) {
		t.Error("all that is stored is in hand")
	}
	// One that was the stream's leader once does not know of what came since.
	last.Store(19)
	if o.p.hasAll(handedOut(0, 20)) {
		t.Error("what was asked knows of less than was handed out")
	}
	last.Store(20)
	stored = []uint64{5, 7, 9}
	if o.p.hasAll(handedOut(0, 5)) {
		t.Error("9 is in hand, and 7 is stored and is not")
	}
}

func handedOut(floor, upTo uint64) *jetstream.ConsumerInfo {
	return &jetstream.ConsumerInfo{AckFloor: jetstream.SequenceInfo{Stream: floor}, Delivered: jetstream.SequenceInfo{Stream: upTo}}
}

// With copies, the new leader of a consumer may have lost sight of a message that was handed out: it is stored, and neither comes
// again nor counts as out. It runs before those after it, and is removed then.
func TestPartition_RescuesWhatTheBrokerHasLostSightOf(t *testing.T) {
	t.Parallel()
	o, removed, _ := rescueOwner(t)
	o.p.settle()
	o.runsInOrder("4", "5")
	o.until("it is removed", removed.Load)
}

// What the broker had not lost sight of comes again in the end. It counts as handed out then, or what is in hand and what is
// out would never agree.
func TestPartition_TakesWhatItRescuedAndTheBrokerHandsOut(t *testing.T) {
	t.Parallel()
	o, removed, out := rescueOwner(t)
	out.Store(2)
	o.p.settle()
	o.mu.Lock()
	if o.p.settled {
		t.Error("it goes on though two are out and one is in hand")
	}
	o.mu.Unlock()
	o.handOut(4, 2, 3)
	o.until("it counts as handed out", func() bool { return o.p.gone == 0 && len(o.p.early) == 2 })
	o.p.settle()
	o.runsInOrder("4", "5")
	if removed.Load() {
		t.Error("it was removed, and not acknowledged")
	}
}

func (o *owner) runsInOrder(all ...string) {
	o.t.Helper()
	for _, want := range all {
		select {
		case got := <-o.ran:
			if got != want {
				o.t.Fatalf("%s runs, and it is %s's turn", got, want)
			}
		case <-time.After(10 * time.Second):
			o.t.Fatalf("%s never runs", want)
		}
	}
}

// rescueOwner has rescued 4, which comes before 5. The broker counts one as out.
func rescueOwner(t *testing.T) (o *owner, removed *atomic.Bool, out *atomic.Int64) {
	o, removed, out = newOwner(t), new(atomic.Bool), new(atomic.Int64)
	out.Store(1)
	o.answer("CONSUMER.INFO.DAMREY_JOBS_w.key-3", func(*nats.Msg) string {
		return fmt.Sprintf(`{"num_ack_pending":%d,"delivered":{"consumer_seq":2,"stream_seq":5}}`, out.Load())
	})
	o.answer("STREAM.INFO.DAMREY_JOBS_w", func(*nats.Msg) string { return `{"config":{"num_replicas":3},"state":{"last_seq":5}}` })
	o.answer("STREAM.MSG.GET.DAMREY_JOBS_w", func(m *nats.Msg) string {
		var asked struct {
			Sequence uint64 `json:"seq"`
			Subject  string `json:"next_by_subj"`
		}
		switch err := json.Unmarshal(m.Data, &asked); {
		case err == nil && asked.Subject == "" && asked.Sequence == 4:
			data, err := json.Marshal(map[string]any{"message": map[string]any{
				"seq": 4, "subject": "damrey.job.w.x.src.3", "time": time.Now(), "data": []byte(`["REQUEST","x","a","4"]`),
				"hdrs": []byte("NATS/1.0\r\nNats-Msg-Id: four\r\nDamrey-Key: 0\r\n\r\n"),
			}})
			if err != nil {
				t.Error(err)
			}
			return string(data)
		case asked.Sequence <= 4 && !removed.Load():
			return `{"message":{"seq":4}}`
		case asked.Sequence <= 5:
			return `{"message":{"seq":5}}`
		}
		return `{"error":{"code":404,"err_code":10037}}`
	})
	o.answer("STREAM.MSG.DELETE.DAMREY_JOBS_w", func(m *nats.Msg) string {
		if string(m.Data) != `{"seq":4,"no_erase":true}` {
			t.Errorf("asked to remove %s", m.Data)
		}
		removed.Store(true)
		return `{"success":true}`
	})
	if _, err := o.nc.Subscribe("$JS.API.DIRECT.GET.DAMREY_TRIED.>", func(m *nats.Msg) {
		if err := m.RespondMsg(&nats.Msg{Header: nats.Header{"Status": {"404"}}}); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	o.mu.Lock()
	o.p.settled = false
	o.mu.Unlock()
	o.handOut(5, 1, 2)
	o.until("the one after it is in hand", func() bool { return len(o.p.early) == 1 })
	o.p.settle()
	o.mu.Lock()
	if o.p.settled || len(o.p.absent) != 1 {
		t.Errorf("it goes on without what is missing: %v", o.p.absent)
	}
	o.p.absent[4] = clock().add(-absentTime - time.Second)
	o.mu.Unlock()
	o.p.settle()
	o.until("it is in hand", func() bool { return len(o.p.early) == 2 })
	return o, removed, out
}
