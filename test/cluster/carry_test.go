//go:build unix

package cluster

import (
	"context"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rs/zerolog"

	"github.com/damrey/damrey"
)

// What a broker alone has stored comes into a cluster by backup and restore, and has three copies there.
func TestCluster_TakesWhatABrokerAloneHasStored(t *testing.T) {
	t.Parallel()
	alone := &node{t: t, name: "alone", rest: freePort(t), nats: freePort(t), leaf: freePort(t)}
	alone.process = run(t, "alone", "proxy", "--data", t.TempDir(), "-p", strconv.Itoa(alone.rest),
		"--nats-port", strconv.Itoa(alone.nats), "--leaf-port", strconv.Itoa(alone.leaf))
	alone.awaitReady()
	one := &site{t: t, nodes: []*node{alone}}
	pay := damrey.Command{Name: "pay", Worker: "bank", Delivery: damrey.Durable, Key: damrey.KeyArg(0)}
	one.put(alone, damrey.Registration{Name: "bank"})
	one.put(alone, damrey.Registration{Name: "entry", Commands: []damrey.Command{pay}})
	const stored = 20
	entry := serve(t, damrey.New(damrey.Config{Name: "entry"}, zerolog.Nop(), damrey.WithConnect(damrey.ConnectConfig{URL: alone.natsURL()})))
	for i := range stored {
		if err := entry.Send(t.Context(), "pay", strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
	}
	entry.Stop()
	file := filepath.Join(t.TempDir(), "backup.tar")
	ends(t, 0, "backup", file, "--nats", alone.natsURL())
	alone.stop()

	s := newSite(t, 3)
	s.start()
	ends(t, 0, "restore", file, "--nats", s.nodes[1].natsURL())
	js := s.jetStream()
	eventually(t, "three copies", func() bool { return len(s.info(js, "DAMREY_JOBS_bank").Cluster.Replicas) == 2 }, &s.nodes[0].out)

	handled := make(chan string, 2*stored)
	bank := damrey.New(damrey.Config{Name: "bank"}, zerolog.Nop(), damrey.WithConnect(damrey.ConnectConfig{URL: s.natsURLs()}))
	bank.Handle("*", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) { handled <- in.Arg(0); return nil, nil })
	serve(t, bank)
	eventually(t, "all are handled", func() bool { return countJobs(t, js) == 0 && len(handled) >= stored })
	seen := map[string]int{}
	for range len(handled) {
		seen[<-handled]++
	}
	if len(seen) != stored {
		t.Errorf("%d of %d are handled: %v", len(seen), stored, seen)
	}
}
