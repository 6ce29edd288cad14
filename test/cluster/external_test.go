//go:build unix

package cluster

import (
	"context"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"

	"github.com/damrey/damrey"
)

// foreign is a cluster of nats-servers that knows nothing of Damrey.
type foreign struct {
	t    *testing.T
	opts []*server.Options
	runs []*server.Server
}

func newForeign(t *testing.T, n int) *foreign {
	t.Helper()
	f := &foreign{t: t, runs: make([]*server.Server, n)}
	var routes []*url.URL
	for i := range n {
		o := &server.Options{
			ServerName: "s" + strconv.Itoa(i+1), Host: "127.0.0.1", Port: freePort(t), NoSigs: true, NoLog: true,
			JetStream: true, JetStreamDomain: "theirs", StoreDir: filepath.Join(t.TempDir(), "js"),
		}
		o.Cluster = server.ClusterOpts{Name: "theirs", Host: "127.0.0.1", Port: freePort(t)}
		routes = append(routes, &url.URL{Scheme: "nats-route", Host: local(o.Cluster.Port)})
		f.opts = append(f.opts, o)
	}
	for _, o := range f.opts {
		o.Routes = routes
	}
	t.Cleanup(func() {
		for _, srv := range f.runs {
			if srv != nil {
				srv.Shutdown()
				srv.WaitForShutdown()
			}
		}
	})
	return f
}

func (f *foreign) start(i int) {
	f.t.Helper()
	srv, err := server.NewServer(f.opts[i].Clone())
	if err != nil {
		f.t.Fatal(err)
	}
	f.runs[i] = srv
	srv.Start()
}

// stop the one of this name.
func (f *foreign) stop(name string) (i int) {
	f.t.Helper()
	for i, o := range f.opts {
		if o.ServerName == name {
			f.runs[i].Shutdown()
			f.runs[i].WaitForShutdown()
			return i
		}
	}
	f.t.Fatalf("no server %q", name)
	return 0
}

// Two proxies in front of a cluster of somebody else wait for its majority, keep three copies there, and go on without one of its servers: without
// the one that leads the jobs, and without the one that leads the table.
func TestExternal_KeepsThreeCopiesInAClusterOfOthers(t *testing.T) {
	t.Parallel()
	f := newForeign(t, 3)
	s := &site{t: t}
	for range 3 { // as many as there are servers, for their addresses
		s.nodes = append(s.nodes, &node{t: t, nats: f.opts[len(s.nodes)].Port, name: f.opts[len(s.nodes)].ServerName})
	}
	for _, n := range s.nodes[:2] {
		n.rest = freePort(t)
		n.process = run(t, "proxy at "+n.name, "proxy", "--nats", s.natsURLs(), "--replicas", "3", "-p", strconv.Itoa(n.rest))
	}
	one, two := s.nodes[0], s.nodes[1]
	one.awaitText("waiting for it") // nobody is there
	f.start(0)
	one.awaitText("NATS cannot store anything yet; waiting for it")
	f.start(1)
	f.start(2)
	one.awaitReady()
	two.awaitReady()
	s.put(one, damrey.Registration{Name: "bank"})
	s.put(two, damrey.Registration{Name: "entry", Commands: []damrey.Command{{Name: "pay", Worker: "bank", Delivery: damrey.Durable}}})
	js := s.jetStream()
	whole := func() bool {
		for _, stream := range []string{"KV_damrey_workers", "DAMREY_JOBS_bank", "DAMREY_DEAD"} {
			info := s.info(js, stream)
			if info == nil || info.Config.Replicas != 3 || len(info.Cluster.Replicas) != 2 || !allCurrent(info) {
				return false
			}
		}
		return true
	}
	eventually(t, "three copies of each", whole, &one.out, &two.out)

	entry := serve(t, damrey.New(damrey.Config{Name: "entry"}, zerolog.Nop(), damrey.WithConnect(damrey.ConnectConfig{URL: s.natsURLs()})))
	sent := 0
	send := func() {
		t.Helper()
		for range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			if err := entry.Send(ctx, "pay", strconv.Itoa(sent)); err != nil {
				t.Fatal(err)
			}
			cancel()
			sent++
		}
	}
	send()
	for i, stream := range []string{"DAMREY_JOBS_bank", "KV_damrey_workers"} {
		stopped := f.stop(s.leader(js, stream).name)
		send()
		s.put(one, damrey.Registration{Name: "one-without-" + strconv.Itoa(i)})
		s.put(two, damrey.Registration{Name: "two-without-" + strconv.Itoa(i)})
		f.start(stopped)
		eventually(t, "whole again", whole, &one.out, &two.out)
	}

	handled := make(chan string, 2*sent)
	bank := damrey.New(damrey.Config{Name: "bank"}, zerolog.Nop(), damrey.WithConnect(damrey.ConnectConfig{URL: s.natsURLs()}))
	bank.Handle("*", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) { handled <- in.Arg(0); return nil, nil })
	serve(t, bank)
	seen := map[string]bool{}
	for end := time.After(patience); len(seen) < sent; {
		select {
		case number := <-handled:
			seen[number] = true
		case <-end:
			t.Fatalf("%d of %d are handled:\n%s%s", len(seen), sent, one.out.String(), two.out.String())
		}
	}
	for _, p := range []*node{one, two} {
		if strings.Contains(p.out.String(), "panic") {
			t.Error(p.out.String())
		}
		p.stop()
	}
}
