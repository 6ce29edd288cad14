package damrey_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/damrey/damrey"
	"github.com/nats-io/nats.go"
)

// An instance takes what it has room for and leaves the rest to others: what lies in a queue would time out there.
func TestDurable_PullsOnlyWhatThereIsRoomFor(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", durably("x", "w"))
	f.put(damrey.Registration{Name: "w", MPU: 3})
	js := f.jobs("w")
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	const n = 20
	for i := range n {
		must(t, src.Send(f.context(), "x", fmt.Sprint(i)))
	}
	var e effects
	began, release := make(chan struct{}, n), make(chan struct{})
	w := f.worker("w", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		began <- struct{}{}
		<-release
		e.add(in.Arg(0))
		return nil, nil
	})
	for range 3 {
		await(t, "the handler", began)
	}
	work, err := js.Consumer(t.Context(), "DAMREY_JOBS_w", "work")
	must(t, err)
	for range 50 {
		info, err := work.Info(t.Context())
		must(t, err)
		if info.NumAckPending > 3 {
			t.Fatalf("%d are handed out to an instance that handles 3 at once", info.NumAckPending)
		}
	}
	close(release)
	eventually(t, "all are handled", func() bool { return e.len() == n })
	if s := w.Stats(); s.Redelivered != 0 {
		t.Errorf("%d came twice", s.Redelivered)
	}
}

// What messages cost counts: an instance that is busy with one holds no others, and an idle one gets them.
func TestDurable_PullsByCost(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	costly := durably("x", "w")
	costly.MPU = 3
	f.register("src", costly)
	f.put(damrey.Registration{Name: "w", MPU: 3})
	js := f.jobs("w")
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	const n = 10
	for i := range n {
		must(t, src.Send(f.context(), "x", fmt.Sprint(i)))
	}
	var e effects
	release := make(chan struct{})
	begin := func() (began chan struct{}) {
		began = make(chan struct{}, n)
		f.worker("w", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
			began <- struct{}{}
			<-release
			e.add(in.Arg(0))
			return nil, nil
		})
		return began
	}
	await(t, "the first instance", begin())
	work, err := js.Consumer(t.Context(), "DAMREY_JOBS_w", "work")
	must(t, err)
	inHand := func() int {
		info, err := work.Info(t.Context())
		must(t, err)
		return info.NumAckPending
	}
	for range 50 {
		if got := inHand(); got != 1 {
			t.Fatalf("%d are handed out to an instance that handles one at once", got)
		}
	}
	await(t, "the second instance", begin())
	if got := inHand(); got != 2 {
		t.Errorf("%d are handed out to two instances that handle one each", got)
	}
	close(release)
	eventually(t, "all are handled", func() bool { return e.len() == n })
}

// What is stored straight onto the subjects and is no message is a dead letter, and holds nobody up.
func TestDurable_WhatIsNoMessageIsADeadLetter(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", durably("x", "w"))
	f.register("w")
	js := f.jobs("w")
	bad := 0
	for _, subject := range []string{"damrey.job.w.x.src", "damrey.job.w.x.größe"} {
		for _, payload := range []string{"", "junk", "[", `["REQUEST"]`, `["REQUEST","other"]`, `["RESPONSE","x"]`, `["REQUEST","x"]["REQUEST","x"]`, "\xff"} {
			_, err := js.PublishMsg(f.context(), &nats.Msg{Subject: subject, Data: []byte(payload), Header: nats.Header{
				damrey.HeaderAttempts: {"-1"}, damrey.HeaderBackoff: {"soon"}, damrey.HeaderHops: {"99999999999"}, damrey.HeaderReply: {"$JS.API.INFO"},
			}})
			must(t, err)
			bad++
		}
	}
	var e effects
	w := f.worker("w", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) { e.add(in.Arg(0)); return nil, nil })
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	must(t, src.Send(f.context(), "x", "good"))
	eventually(t, "nothing is left", func() bool { return stored(t, js, "DAMREY_JOBS_w") == 0 })
	if dead := stored(t, js, "DAMREY_DEAD"); dead != uint64(bad) || e.len() != 1 || e.seen["good"] != 1 {
		t.Errorf("%d of %d are dead, handled %v", dead, bad, e.seen)
	}
	if s := w.Stats(); s.Dead != uint64(bad) {
		t.Errorf("%d are counted dead of %d", s.Dead, bad)
	}
}
