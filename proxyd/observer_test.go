package proxyd

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/damrey/damrey/internal/report"
	"github.com/damrey/damrey/internal/view"
)

// earshot is an observer that hears what it is given.
type earshot struct {
	*observer
	t     *testing.T
	beats chan *nats.Msg
	sent  int
}

// newEarshot hears until the test calls what it returns.
func newEarshot(t *testing.T) (*earshot, func()) {
	o := &observer{clock: view.StartClock()}
	o.view = view.New(o.clock.Now(), "run")
	e := &earshot{observer: o, t: t, beats: make(chan *nats.Msg, maxBeats)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { o.hear(ctx, e.beats); close(ended) }()
	return e, func() { cancel(); <-ended }
}

// send sends the first beats of some instances.
func (e *earshot) send(n int) {
	for range n {
		e.sent++
		b := report.Beat{Worker: "add", Instance: fmt.Sprint(e.sent), PID: 1, Started: time.Now(), At: time.Now(), State: report.Ready}
		data, err := json.Marshal(b)
		if err != nil {
			e.t.Fatal(err)
		}
		e.beats <- &nats.Msg{Subject: report.Subject("damrey", b.Worker, b.Instance), Data: data}
	}
}

func (e *earshot) heard() int {
	synctest.Wait()
	return len(e.view.Instances(e.clock.Now()).Instances)
}

func TestObserver_HearsOneBeatAtOnceAndManyTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e, end := newEarshot(t)
		defer end()
		e.send(1)
		if n := e.heard(); n != 1 {
			t.Fatalf("%d instances are heard", n)
		}
		e.send(999)
		if n := e.heard(); n != 1 {
			t.Errorf("%d instances are heard, and the others have just come", n)
		}
		time.Sleep(hearEvery)
		if n := e.heard(); n != 1000 {
			t.Errorf("%d instances are heard", n)
		}
	})
}

// What alarms are judged by is of one moment, and made no more often than the network.
func TestStreams_MakeInstancesWithTheNetwork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e, end := newEarshot(t)
		defer end()
		s := newStreams(e.observer)
		look := func() (ready, instances int) {
			synctest.Wait()
			network, list, err := s.documents(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range network.Nodes {
				ready += n.Ready
			}
			return ready, len(list.Instances)
		}
		e.send(1)
		if ready, instances := look(); ready != 1 || instances != 1 {
			t.Fatalf("%d ready of %d instances", ready, instances)
		}
		e.send(1)
		time.Sleep(networkEvery / 2)
		if ready, instances := look(); ready != 1 || instances != 1 {
			t.Errorf("%d ready of %d instances, before the network is made anew", ready, instances)
		}
		time.Sleep(networkEvery / 2)
		if ready, instances := look(); ready != 2 || instances != 2 {
			t.Errorf("%d ready of %d instances", ready, instances)
		}
	})
}
