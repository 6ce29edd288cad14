//go:build unix

package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

const jobsStream = "DAMREY_JOBS_sink"

var source = damrey.Registration{
	Name: "source", Commands: []damrey.Command{{Name: "job", Worker: "sink", Delivery: damrey.Durable}},
}

// serve runs an instance until the test ends, and waits until it is ready.
func serve(t *testing.T, w *damrey.Instance) *damrey.Instance {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("an instance: %v", err)
		}
	})
	select {
	case <-w.Ready():
	case <-time.After(patience):
		t.Fatal("an instance is not ready")
	}
	return w
}

// sent counts what was acknowledged.
type sent struct {
	t     *testing.T
	w     *damrey.Instance
	acked int
}

func (s *sent) send(ctx context.Context) error {
	err := s.w.Send(ctx, "job", fmt.Sprint(s.acked))
	if err == nil {
		s.acked++
	}
	return err
}

// sendUntilStored sends one message that must be stored, however often it takes, under its own id.
func (s *sent) sendUntilStored() {
	s.t.Helper()
	id := fmt.Sprintf("m%d", s.acked)
	began := time.Now()
	eventually(s.t, "a message is stored", func() bool {
		ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
		defer cancel()
		err := s.w.With(damrey.WithID(id)).Send(ctx, "job", fmt.Sprint(s.acked))
		if err != nil {
			s.t.Logf("after %v: %v", time.Since(began).Round(time.Millisecond), err)
		}
		return err == nil
	})
	s.acked++
	s.t.Logf("stored after %v", time.Since(began).Round(time.Millisecond))
}

// countJobs leaves out the marks of ids, which are in the same stream.
func countJobs(t *testing.T, js jetstream.JetStream) uint64 {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	got, err := js.Stream(ctx, jobsStream)
	if err != nil {
		return 0
	}
	info, err := got.Info(ctx, jetstream.WithSubjectFilter("damrey.job.sink.>"))
	if err != nil {
		return 0
	}
	var n uint64
	for _, count := range info.State.Subjects {
		n += count
	}
	return n
}

func TestCluster_LivesThroughTheLossOfNodes(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	s.start()

	s.put(s.nodes[0], source)
	s.put(s.nodes[1], damrey.Registration{Name: "sink"})
	for _, n := range s.nodes {
		client := n.client()
		eventually(t, n.name+" serves the row", func() bool {
			reg, _, err := client.Worker(t.Context(), "source")
			return err == nil && len(reg.Commands) == 1
		})
	}
	js := s.jetStream()
	for _, stream := range []string{"KV_damrey_workers", "KV_damrey_agents", "KV_damrey_proxies", jobsStream, "DAMREY_DEAD", "DAMREY_TRIED"} {
		eventually(t, stream+" has three replicas", func() bool {
			info := s.info(js, stream)
			return info != nil && info.Config.Replicas == 3
		})
	}
	src := damrey.New(damrey.Config{Name: "source"}, zerolog.Nop(), damrey.WithConnect(damrey.ConnectConfig{URL: s.natsURLs()}))
	stored := sent{t: t, w: serve(t, src)}
	eventually(t, "the first message is stored", func() bool { return stored.send(t.Context()) == nil })
	for range 200 {
		if err := stored.send(t.Context()); err != nil {
			t.Fatal(err)
		}
	}

	t.Log("one of three is gone, the one that leads the stream")
	a := s.leader(js, jobsStream)
	b, c := s.others(a)
	a.kill()
	stored.sendUntilStored()
	s.put(b, damrey.Registration{Name: "sink", MPU: 7})
	reg, _, err := newClient(t, s.proxies()).Worker(t.Context(), "sink") // the first of the list is gone
	if err != nil || reg.MPU != 7 {
		t.Errorf("through the list of proxies: %+v, %v", reg, err)
	}

	t.Log("it comes back")
	s.start(a)
	for _, stream := range []string{"KV_damrey_workers", jobsStream} {
		eventually(t, "all copies of "+stream+" are current", func() bool { return allCurrent(s.info(js, stream)) }, &a.out)
	}

	t.Log("two of three are gone")
	b.kill()
	c.kill()
	a.awaitText("waiting for a majority of the cluster damrey: 1 of 3 servers here")
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	if err := stored.send(ctx); !errors.Is(err, damrey.ErrNotStored) {
		t.Errorf("without a majority Send returned %v", err)
	}
	_, err = a.client().Put(t.Context(), damrey.Registration{Name: "late"}, "")
	refusal, ok := errors.AsType[*api.Error](err)
	if !ok || refusal.Status != http.StatusServiceUnavailable || !strings.Contains(refusal.Error(), "1 of 3 servers here") {
		t.Errorf("without a majority a change got: %v", err)
	}

	t.Log("they come back")
	s.start(b, c)
	stored.sendUntilStored()
	s.put(a, damrey.Registration{Name: "late"})
	eventually(t, "all that was acknowledged is there", func() bool { return countJobs(t, js) >= uint64(stored.acked) })
	if n := countJobs(t, js); n > uint64(stored.acked)+1 { // the one whose fate was not known
		t.Errorf("%d messages, %d were acknowledged", n, stored.acked)
	}
}

// A machine that is lost for ever is replaced by one of its name that has nothing.
func TestCluster_TakesANewMachineForALostOne(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	s.start()
	s.put(s.nodes[0], damrey.Registration{Name: "kept"})
	js := s.jetStream()
	lost := s.nodes[2]
	lost.kill()
	lost.dir = t.TempDir()
	s.start(lost)
	// A copy that has just been begun may be called current for a moment.
	for range 20 {
		eventually(t, "the new machine has all copies", func() bool { return allCurrent(s.info(js, "KV_damrey_workers")) }, &lost.out)
		time.Sleep(250 * time.Millisecond)
	}
	s.nodes[0].kill()
	s.put(lost, damrey.Registration{Name: "added"})
	if _, _, err := lost.client().Worker(t.Context(), "kept"); err != nil {
		t.Error(err)
	}
}

func allCurrent(info *jetstream.StreamInfo) bool {
	if info == nil || info.Cluster == nil || len(info.Cluster.Replicas) != 2 {
		return false
	}
	for _, r := range info.Cluster.Replicas {
		if !r.Current || r.Offline {
			return false
		}
	}
	return true
}
