package damrey_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/bucket"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// Keys and the partition that they are in.
const (
	keyA, partitionA = "a", 12
	keyQ             = "q"        // in the same one
	keyB             = "order-42" // in another one
)

// keyedFabric has a keyed route src→x→w.
func keyedFabric(t *testing.T) (f *fabric, src *damrey.Instance, js jetstream.JetStream) {
	t.Helper()
	f = newFabric(t)
	row := byKey("x", "w", 0)
	row.Attempts = 100
	f.register("src", row)
	f.register("w")
	f.keyed("w")
	js, err := jetstream.New(f.nc)
	must(t, err)
	return f, f.serve(f.instance(damrey.Config{Name: "src"})), js
}

// stranger takes n messages of a partition as another owner would, and lets go
// of the partition.
func (f *fabric) stranger(partition, n int) []*nats.Msg {
	f.t.Helper()
	inbox := f.nc.NewInbox()
	sub, err := f.nc.SubscribeSync(inbox)
	must(f.t, err)
	consumer := "DAMREY_JOBS_w." + bucket.KeyConsumer(partition)
	must(f.t, f.nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+consumer, inbox, fmt.Appendf(nil, `{"batch":%d,"expires":5000000000,"group":"owner"}`, n)))
	var all []*nats.Msg
	for range n {
		m, err := sub.NextMsg(patience)
		must(f.t, err)
		all = append(all, m)
	}
	_, err = f.nc.Request("$JS.API.CONSUMER.UNPIN."+consumer, []byte(`{"group":"owner"}`), patience)
	must(f.t, err)
	must(f.t, sub.Unsubscribe())
	return all
}

func (e *effects) has(what string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.seen[what] > 0
}

func (e *effects) handle(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
	e.add(strings.Join(in.Args(), " "))
	return nil, nil
}

// What is removed while a new owner waits for the last one's must not keep it
// waiting for ever.
func TestKeyed_PurgedWhileAnotherHasSome(t *testing.T) {
	t.Parallel()
	f, src, js := keyedFabric(t)
	must(t, src.Send(f.context(), "x", keyA, "0"))
	f.stranger(partitionA, 1)
	var e effects
	w := f.worker("w", e.handle)
	for n := range 3 {
		must(t, src.Send(f.context(), "x", keyA, fmt.Sprint(n+1)))
	}
	eventually(t, "it has them in hand", func() bool { return w.Stats().Jobs >= 3 })
	s, err := js.Stream(t.Context(), "DAMREY_JOBS_w")
	must(t, err)
	must(t, s.Purge(t.Context()))
	must(t, src.Send(f.context(), "x", keyA, "after"))
	eventually(t, "what is sent afterwards is handled", func() bool { return e.has("a after") })
}

// The last owner's acknowledgement may come when its message is in the next
// one's hand.
func TestKeyed_AcknowledgedLateByTheLastOwner(t *testing.T) {
	t.Parallel()
	f, src, _ := keyedFabric(t)
	for n := range 3 {
		must(t, src.Send(f.context(), "x", keyA, fmt.Sprint(n)))
	}
	last := f.stranger(partitionA, 3)
	var e effects
	w := f.worker("w", e.handle)
	// The first is still in its hand when the others come again.
	for w.Stats().Jobs < 2 {
		must(t, last[0].InProgress())
		time.Sleep(50 * time.Millisecond)
	}
	must(t, last[1].Ack())
	must(t, last[0].Ack())
	must(t, src.Send(f.context(), "x", keyA, "after"))
	eventually(t, "the rest is handled", func() bool { return e.has("a 2") && e.has("a after") })
}

// Headers of JetStream's own that somebody stored with a message say nothing.
func TestKeyed_ForeignHeaders(t *testing.T) {
	t.Parallel()
	f, src, js := keyedFabric(t)
	var e effects
	f.worker("w", e.handle)
	for name, value := range map[string]string{"Nats-Pin-Id": "none", "Status": "423"} {
		for _, payload := range []string{"", `["REQUEST","x","a","` + name + `"]`} {
			_, err := js.PublishMsg(t.Context(), &nats.Msg{
				Subject: fmt.Sprintf("damrey.job.w.x.src.%d", partitionA), Data: []byte(payload), Header: nats.Header{name: {value}},
			})
			must(t, err)
		}
		must(t, src.Send(f.context(), "x", keyA, "after"+name))
	}
	eventually(t, "all are handled", func() bool {
		return e.has("a afterNats-Pin-Id") && e.has("a afterStatus") && e.has("a Nats-Pin-Id") && e.has("a Status")
	})
	eventually(t, "what is no message is dead", func() bool { return stored(t, js, "DAMREY_DEAD") == 2 })
}

// One consumer that was deleted by hand holds up its own partition only.
func TestKeyed_OneConsumerDeleted(t *testing.T) {
	t.Parallel()
	f, src, js := keyedFabric(t)
	var e effects
	var log logBuffer
	w := damrey.New(damrey.Config{Name: "w"}, zerolog.New(&log), damrey.WithConnect(damrey.ConnectConfig{URL: f.srv.ClientURL()}))
	w.Handle("*", e.handle)
	f.serve(w)
	must(t, src.Send(f.context(), "x", keyA, "before"))
	eventually(t, "it is handled", func() bool { return e.has("a before") })
	must(t, js.DeleteConsumer(t.Context(), "DAMREY_JOBS_w", bucket.KeyConsumer(partitionA)))
	must(t, src.Send(f.context(), "x", keyA, "after"))
	eventually(t, "it is said", func() bool {
		return strings.Contains(log.String(), "consumer key-12 of stream DAMREY_JOBS_w was deleted")
	})
	for n := range 100 {
		must(t, src.Send(f.context(), "x", keyB, fmt.Sprint(n)))
		time.Sleep(20 * time.Millisecond)
	}
	eventually(t, "the others are handled", func() bool { return e.has(keyB + " 99") })
	if strings.Contains(log.String(), "cannot pull stored messages now") {
		t.Error("all partitions were given up:", log.String())
	}
	must(t, bucket.EnsureKeyed(f.context(), js, damrey.DefaultPrefix, "w"))
	eventually(t, "what waited is handled", func() bool { return e.has("a after") })
}

// While failures cannot be read jobs go round; that is no sign that they kill.
func TestKeyed_FailuresCannotBeReadForAWhile(t *testing.T) {
	t.Parallel()
	f, src, js := keyedFabric(t)
	must(t, src.Send(f.context(), "x", keyA, "0"))
	for range 30 {
		for _, m := range f.stranger(partitionA, 1) {
			must(t, m.Nak())
		}
	}
	must(t, js.DeleteStream(t.Context(), "DAMREY_TRIED"))
	var e effects
	w := f.worker("w", e.handle)
	eventually(t, "it was looked at", func() bool { return w.Stats().HandedBack > 0 })
	must(t, bucket.EnsureDead(f.context(), js, damrey.DefaultPrefix))
	eventually(t, "it is handled", func() bool { return e.has("a 0") })
	if n := stored(t, js, "DAMREY_DEAD"); n > 0 {
		t.Errorf("%d dead letters", n)
	}
}

// Those behind a message that kills its instances, of its key and of others, come again with it as often. They are
// handled, in their order, when it is a dead letter.
func TestKeyed_WhatKillsItsInstancesTakesNobodyWithIt(t *testing.T) {
	t.Parallel()
	f, src, js := keyedFabric(t)
	all := [][]string{{keyA, "deadly"}, {keyA, "1"}, {keyQ, "1"}, {keyA, "2"}, {keyA, "3"}}
	for _, args := range all {
		must(t, src.Send(f.context(), "x", args...))
	}
	var deadly *nats.Msg
	for range 20 {
		handed := f.stranger(partitionA, len(all))
		for _, m := range handed {
			must(t, m.Nak())
		}
		deadly = handed[0]
	}
	meta, err := deadly.Metadata()
	must(t, err)
	note, err := json.Marshal(map[string]any{"id": deadly.Header.Get(damrey.HeaderID), "stored": meta.Timestamp, "begun": 10})
	must(t, err)
	_, err = js.Publish(t.Context(), fmt.Sprintf("damrey.tried.w.%d", meta.Sequence.Stream), note)
	must(t, err)

	var mu sync.Mutex // guards ran
	ran := map[string][]string{}
	f.worker("w", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		mu.Lock()
		defer mu.Unlock()
		ran[in.Arg(0)] = append(ran[in.Arg(0)], in.Arg(1))
		if in.Arg(0) == keyA && len(ran[keyA]) == 2 {
			return damrey.Fail("not yet"), nil
		}
		return nil, nil
	})
	eventually(t, "nothing is left", func() bool { return stored(t, js, "DAMREY_JOBS_w") == 0 })
	if !slices.Equal(ran[keyA], []string{"1", "2", "2", "3"}) || !slices.Equal(ran[keyQ], []string{"1"}) {
		t.Errorf("handled: %v", ran)
	}
	for sequence, args := range all {
		note, failed := noteOf(t, js, uint64(sequence+1)), args[1] == "2" // which is not watched from then on
		if args[1] != "deadly" && (note["begun"] == 1.0) == failed {
			t.Errorf("of %v is noted %v", args, note)
		}
	}
	dead, err := js.Stream(t.Context(), "DAMREY_DEAD")
	must(t, err)
	m, err := dead.GetLastMsgForSubject(t.Context(), "damrey.dead.w.x.src")
	must(t, err)
	if n := dead.CachedInfo().State.Msgs; n != 1 || string(m.Data) != string(deadly.Data) {
		t.Errorf("%d dead letters, the last is %s", n, m.Data)
	}
}

// A clock that is ahead must not make a pause longer than it was meant.
func TestKeyed_FailedWhereTheClockIsAhead(t *testing.T) {
	t.Parallel()
	f, src, js := keyedFabric(t)
	must(t, src.Send(f.context(), "x", keyA, "0"))
	m := f.stranger(partitionA, 1)[0]
	meta, err := m.Metadata()
	must(t, err)
	there := time.Now().Add(2 * time.Hour).UTC()
	note, err := json.Marshal(map[string]any{
		"id": m.Header.Get(damrey.HeaderID), "failures": 1, "at": there, "again": there.Add(100 * time.Millisecond),
	})
	must(t, err)
	_, err = js.Publish(t.Context(), fmt.Sprintf("damrey.tried.w.%d", meta.Sequence.Stream), note)
	must(t, err)
	must(t, m.Nak())
	var e effects
	f.worker("w", e.handle)
	eventually(t, "it is handled", func() bool { return e.has("a 0") })
}

func TestKeyed_MPUIsRaisedWhileAllIsTaken(t *testing.T) {
	t.Parallel()
	f, src, _ := keyedFabric(t)
	f.put(damrey.Registration{Name: "w", MPU: 1})
	var e effects
	began, end := make(chan struct{}), make(chan struct{})
	defer close(end)
	f.worker("w", func(ctx context.Context, in damrey.Msg) (damrey.Msg, error) {
		if in.Arg(0) == keyA {
			close(began)
			<-end
		}
		return e.handle(ctx, in)
	})
	must(t, src.Send(f.context(), "x", keyA))
	await(t, "the first runs", began)
	must(t, src.Send(f.context(), "x", keyB))
	time.Sleep(300 * time.Millisecond) // else it comes after the change
	f.put(damrey.Registration{Name: "w", MPU: 4})
	eventually(t, "another key's runs beside it", func() bool { return e.has(keyB) })
}

// A worker that is paused for a moment only keeps what it has, and in order.
func TestKeyed_PausedForMoments(t *testing.T) {
	t.Parallel()
	f, src, _ := keyedFabric(t)
	l := newLedger()
	f.worker("w", l.handler(0, time.Millisecond))
	const keys, each = 20, 60
	var sent atomic.Bool
	go func() {
		defer sent.Store(true)
		for n := range each {
			for k := range keys {
				src.SendAsync(context.Background(), "x", fmt.Sprint("k", k), fmt.Sprint(n))
			}
			time.Sleep(30 * time.Millisecond)
		}
	}()
	for !sent.Load() {
		f.put(damrey.Registration{Name: "w", Paused: true})
		f.put(damrey.Registration{Name: "w"})
		time.Sleep(15 * time.Millisecond)
	}
	eventually(t, "all are handled", func() bool { return l.done() == keys*each })
	l.check(t)
}
