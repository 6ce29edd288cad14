//go:build unix

package cluster

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/snapshot"
)

// A backup that is begun while a cluster elects has everything, and goes to a broker that is alone.
func TestCluster_IsBackedUpWhileOneIsDown(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	s.start()
	s.put(s.nodes[0], source)
	s.put(s.nodes[0], damrey.Registration{Name: "sink"})
	js := s.jetStream()
	eventually(t, "the jobs have three copies", func() bool { return allCurrent(s.info(js, jobsStream)) })
	src := serve(t, damrey.New(damrey.Config{Name: "source"}, zerolog.Nop(), damrey.WithConnect(damrey.ConnectConfig{URL: s.natsURLs()})))
	stored := sent{t: t, w: src}
	for range 20 {
		stored.sendUntilStored()
	}
	src.Stop()
	want := countJobs(t, js)

	a := s.leader(js, jobsStream)
	b, _ := s.others(a)
	a.kill()
	began := time.Now()
	path := filepath.Join(t.TempDir(), "backup.tar")
	ends(t, 0, "backup", path, "--nats", b.natsURL())
	t.Logf("backed up after %v", time.Since(began).Round(time.Millisecond))
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	backup, err := snapshot.Verify(file)
	if err != nil {
		t.Fatal(err)
	}
	held := make(map[string]uint64)
	for _, stream := range backup.Streams {
		held[stream.Name] = stream.Messages
	}
	for _, name := range []string{"DAMREY_LATER", jobsStream, "DAMREY_TRIED", "DAMREY_DEAD", "KV_damrey_alarms", "KV_damrey_workers"} {
		if _, ok := held[name]; !ok || len(held) != 6 {
			t.Errorf("%s is not in the backup, or something else is: %v", name, held)
		}
	}

	alone := &node{t: t, name: "alone", rest: freePort(t), nats: freePort(t), leaf: freePort(t)}
	alone.process = run(t, "alone", "proxy", "--data", t.TempDir(), "-p", strconv.Itoa(alone.rest),
		"--nats-port", strconv.Itoa(alone.nats), "--leaf-port", strconv.Itoa(alone.leaf))
	alone.awaitReady()
	t.Log(ends(t, 0, "restore", path, "--nats", alone.natsURL()))
	nc, err := nats.Connect(alone.natsURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	there, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if n := countJobs(t, there); n != want {
		t.Errorf("%d of %d jobs are restored", n, want)
	}
}
