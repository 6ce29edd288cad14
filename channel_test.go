package damrey_test

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/damrey/damrey"
	"github.com/rs/zerolog"
)

// testWorker is the program of the original README, with nothing changed but
// imports and constructors.
type testWorker struct {
	zerolog.Logger
	ch chan struct{}
	wk damrey.Worker
}

func newTestWorker(f *fabric) *testWorker {
	log := zerolog.New(zerolog.NewTestWriter(f.t)).Level(zerolog.WarnLevel)
	return &testWorker{
		Logger: log,
		ch:     make(chan struct{}),
		wk: damrey.New(damrey.Config{3, "testWorker", 5 * time.Second}, log, // unkeyed as in the original
			damrey.WithConnect(damrey.ConnectConfig{URL: f.srv.ClientURL()})),
	}
}

func (t *testWorker) Run() {
	go t.wk.Run()
	for {
		select {
		case <-t.ch:
			t.wk.Stop()
			t.ch <- struct{}{}
			return
		case msg := <-t.wk.RecvChannel():
			msg.Rch <- t.process(msg.Msg)
		case <-time.After(10 * time.Second):
			t.wk.SendChannel() <- &damrey.Message{
				Msg: []string{damrey.REQUEST, "test"},
			}
		}
	}
}

func (t *testWorker) Stop() {
	t.ch <- struct{}{}
	<-t.ch
	close(t.ch)
}

func (t *testWorker) process(msg []string) []string {
	return []string{damrey.ERROR, "don't accept any message"}
}

func TestWorker_TheOriginalsProgramWorks(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("entry", to("test", "testWorker"))
	f.register("testWorker")
	w := newTestWorker(f)
	go w.Run()
	asker := f.instance(damrey.Config{Name: "entry"})
	f.run(asker)
	ask := func() []string {
		msg := &damrey.Message{
			Timeout: patience,
			Rch:     make(chan []string),
			Msg:     []string{damrey.REQUEST, "test", "hello world"},
		}
		asker.SendChannel() <- msg
		return await(t, "answer", msg.Rch)
	}
	want := []string{damrey.ERROR, "don't accept any message"}
	eventually(t, "the worker answers", func() bool { return slices.Equal(ask(), want) })
	w.Stop()
	if got := ask(); !slices.Equal(got, []string{damrey.STOP}) {
		t.Errorf("after Stop: %q", got)
	}
	close(asker.SendChannel())
}

func TestWorker_WritingARequestToRchForwards(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "mid"))
	f.register("mid", to("y", "end"))
	f.register("end")
	f.worker("end", echo)
	mid := f.serve(f.instance(damrey.Config{Name: "mid"}))
	go func() {
		for m := range mid.RecvChannel() {
			m.Rch <- []string{damrey.REQUEST, "y", m.Msg[2] + "!"}
		}
	}()
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	got, err := src.Request(f.context(), "x", "hi")
	must(t, err)
	if got.Arg(0) != "hi!" {
		t.Errorf("got %q", got)
	}
}

func TestWorker_TenThousandRequestsInFlight(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "w"))
	f.put(damrey.Registration{Name: "w", MPU: 20000})
	w := f.instance(damrey.Config{Name: "w", Timeout: time.Minute}) // on a slow machine it takes a while
	f.serve(w)
	const n = 10000
	held := make([]*damrey.Message, 0, n)
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	answers := make(chan []string, n)
	go func() {
		for i := range n {
			src.SendChannel() <- &damrey.Message{
				Timeout: time.Minute, Rch: answers, Msg: []string{damrey.REQUEST, "x", strconv.Itoa(i)},
			}
		}
		close(src.SendChannel())
	}()
	for range n {
		held = append(held, await(t, "all requests are in flight", w.RecvChannel()))
	}
	if waiting := src.Stats().Waiting; waiting != n {
		t.Errorf("%d requests wait, want %d", waiting, n)
	}
	for _, m := range held {
		m.Rch <- []string{damrey.RESPONSE, "x", m.Msg[2]}
	}
	seen := make([]bool, n)
	for range n {
		got := await(t, "answers", answers)
		i, err := strconv.Atoi(got[2])
		must(t, err)
		if seen[i] {
			t.Fatalf("request %d was answered twice", i)
		}
		seen[i] = true
	}
}

func TestWorker_StopAnswersWhatWasNotTaken(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", to("x", "w"))
	f.register("w")
	w := f.serve(f.instance(damrey.Config{Name: "w"}))
	src := f.serve(f.instance(damrey.Config{Name: "src", Rc: 1}))
	answers := make(chan []string, 3)
	for range 3 {
		src.SendChannel() <- &damrey.Message{Timeout: patience, Rch: answers, Msg: []string{damrey.REQUEST, "x"}}
	}
	eventually(t, "all three are there", func() bool { return w.Stats().Received == 3 })
	taken := await(t, "one is taken", w.RecvChannel())
	stopped := make(chan struct{})
	go func() { w.Stop(); close(stopped) }()
	for range 2 {
		if got := await(t, "STOP", answers); !slices.Equal(got, []string{damrey.STOP}) {
			t.Errorf("not taken: %q", got)
		}
	}
	taken.Rch <- []string{damrey.RESPONSE, "x", "late but fine"}
	if got := await(t, "the taken one", answers); len(got) != 3 || got[2] != "late but fine" {
		t.Errorf("taken: %q", got)
	}
	await(t, "Stop", stopped)
	if _, open := <-w.RecvChannel(); open {
		t.Error("RecvChannel is still open after Stop")
	}
	close(src.SendChannel())
}

func TestWorker_BadMessagesOnSendChannel(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src")
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	for _, c := range []struct {
		msg  []string
		code string
	}{
		{nil, "damrey:malformed"},
		{[]string{damrey.RESPONSE, "x"}, "damrey:malformed"},
		{[]string{damrey.REQUEST}, "damrey:malformed"},
		{[]string{damrey.REQUEST, "a.b"}, "damrey:no_route"},
		{[]string{damrey.REQUEST, "x"}, "damrey:no_route"},
	} {
		m := &damrey.Message{Timeout: patience, Rch: make(chan []string), Msg: c.msg}
		src.SendChannel() <- m
		if got := await(t, "ERROR", m.Rch); len(got) != 5 || got[3] != c.code {
			t.Errorf("%q gave %q, want code %s", c.msg, got, c.code)
		}
	}
	src.SendChannel() <- nil
	src.SendChannel() <- &damrey.Message{Msg: []string{damrey.REQUEST, "x"}}
	eventually(t, "a send without a route is counted", func() bool { return src.Stats().Undelivered == 1 })
	src.Stop()
	m := &damrey.Message{Timeout: patience, Rch: make(chan []string), Msg: []string{damrey.REQUEST, "x"}}
	src.SendChannel() <- m
	if got := await(t, "STOP", m.Rch); !slices.Equal(got, []string{damrey.STOP}) {
		t.Errorf("after Stop: %q", got)
	}
	close(src.SendChannel())
}
