//go:build linux

package faults

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

// site is one fabric: a proxy with the broker inside, and what a test adds to it.
//
//	entry (this process) ── agent ══ [relay] ══ broker ══ agent ── faultworkers
type site struct {
	t       testing.TB
	journal journal
	log     zerolog.Logger // of the instances in this process
	hub     *process       // proxy and broker
	rest    string
	nats    int
	leaf    int
	data    string
	client  *api.Client // of hub
}

// newSite starts a proxy with the broker inside, and registers the lines
// entry → echo, entry → pass → echo, entry → here and entry → sink. The test is over when every process has
// ended in order and this one has as many goroutines as before.
func newSite(t testing.TB) *site {
	t.Helper()
	dependOnProduct(t)
	leavesNothing(t)
	s := &site{t: t, journal: newJournal(t), log: testLog(t), data: filepath.Join(t.TempDir(), "data")}
	rest := freePort(t)
	s.rest, s.nats, s.leaf = local(rest), freePort(t), freePort(t)
	s.hub = newProcess(t, "proxy", "damrey", "proxy", "-p", strconv.Itoa(rest),
		"--nats-port", strconv.Itoa(s.nats), "--leaf-port", strconv.Itoa(s.leaf), "--data", s.data).start()
	s.client = s.newClient(s.rest)
	s.rows()
	return s
}

// testLog goes to a file that is shown when the test fails.
func testLog(t testing.TB) zerolog.Logger {
	file, err := os.Create(filepath.Join(t.TempDir(), "instances.log"))
	must(t, err)
	t.Cleanup(func() {
		file.Close()
		if t.Failed() {
			p := process{log: file.Name()}
			t.Logf("the instances of this process said:\n%s", p.tail())
		}
	})
	return zerolog.New(zerolog.SyncWriter(file)).With().Timestamp().Logger()
}

func (s *site) newClient(rest string) *api.Client {
	c, err := api.New(rest)
	must(s.t, err)
	s.t.Cleanup(c.Close)
	return c
}

// hubURL is the broker's, for clients.
func (s *site) hubURL() string { return "nats://" + local(s.nats) }

// front starts a second proxy at the same broker. Agents that join by it are
// linked to the broker through leaf, the address of a relay.
func (s *site) front(leaf string) (p *process, rest string) {
	s.t.Helper()
	port := freePort(s.t)
	p = newProcess(s.t, "front", "damrey", "proxy", "-p", strconv.Itoa(port), "--nats", s.hubURL(), "--leaf", "nats-leaf://"+leaf)
	return p.start(), local(port)
}

// put registers, and tries again while the proxy or its broker is away.
func (s *site) put(reg damrey.Registration) {
	s.t.Helper()
	var err error
	defer func() {
		if err != nil {
			s.t.Logf("the last try: %v", err)
		}
	}()
	eventually(s.t, "worker "+reg.Name+" is registered", func() bool {
		_, err = s.client.Put(context.Background(), reg, "")
		return err == nil
	})
}

// rows puts all of the table.
func (s *site) rows() {
	s.t.Helper()
	s.point("echo")
	s.put(damrey.Registration{Name: "pass", Commands: []damrey.Command{{Name: "echo", Worker: "echo"}}})
	for _, name := range []string{"echo", "here", "sink"} {
		s.put(damrey.Registration{Name: name})
	}
}

// point sends entry's echo to a worker. The rest of its row stays.
func (s *site) point(to string) {
	s.t.Helper()
	s.put(damrey.Registration{Name: "entry", Commands: []damrey.Command{
		{Name: "echo", Worker: to}, {Name: "pass", Worker: "pass"}, {Name: "here", Worker: "here"}, {Name: "sink", Worker: "sink"},
	}})
}

// agent is one of a name, with its port for the machine's workers.
type agent struct {
	*process
	port int
}

func (a *agent) url() string { return "nats://" + local(a.port) }

// newAgent prepares one that joins by a proxy.
func (s *site) newAgent(name, rest string) *agent {
	s.t.Helper()
	port := freePort(s.t)
	dir := filepath.Join(s.t.TempDir(), "agent-"+name)
	return &agent{port: port, process: newProcess(s.t, "agent-"+name, "damrey", "agent", "-a", name,
		"-p", strconv.Itoa(port), "--proxy", rest, "--data", dir)}
}

// agent starts one that joins by the hub.
func (s *site) agent(name string) *agent {
	s.t.Helper()
	a := s.newAgent(name, s.rest)
	a.start()
	return a
}

// newWorker prepares a faultworker.
func (s *site) newWorker(name, url string, flags ...string) *process {
	args := append([]string{"-name", name, "-nats", url, "-journal", s.journal.path}, flags...)
	return newProcess(s.t, name, "faultworker", args...)
}

// worker starts a faultworker.
func (s *site) worker(name, url string, flags ...string) *process {
	s.t.Helper()
	return s.newWorker(name, url, flags...).start()
}

// line starts the workers of the two ways from entry to echo.
func (s *site) line(url string) (pass, echo *process) {
	s.t.Helper()
	return s.worker("pass", url, "-forward", "echo"), s.worker("echo", url)
}

// entry runs an instance of the worker entry in this process.
func (s *site) entry(url string) *damrey.Instance {
	s.t.Helper()
	return s.sending("entry", url)
}

// sending runs an instance of a registered worker that only sends.
func (s *site) sending(name, url string) *damrey.Instance {
	s.t.Helper()
	w := damrey.New(damrey.Config{Name: name}, s.log, damrey.WithConnect(damrey.ConnectConfig{URL: url}), damrey.WithDrainTime(time.Second))
	done := make(chan error, 1)
	send := w.SendChannel()
	go func() { done <- w.Serve(context.Background()) }()
	s.t.Cleanup(func() {
		w.Stop()
		close(send)
		if err := <-done; err != nil {
			s.t.Errorf("%s: %v", name, err)
		}
	})
	await(s.t, name+" is ready", w.Ready())
	return w
}

// conn is a plain connection, to look at things.
func (s *site) conn(url string) *nats.Conn {
	s.t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	must(s.t, err)
	s.t.Cleanup(nc.Close)
	return nc
}

// linked waits until an agent says that its link to the broker is down or up.
func (a *agent) linked(up bool) {
	a.t.Helper()
	nc, err := nats.Connect(a.url())
	must(a.t, err)
	defer nc.Close()
	eventually(a.t, a.name+"'s link changes", func() bool {
		m, err := nc.Request("damrey.local.agent", nil, time.Second)
		if err != nil && !errors.Is(err, nats.ErrTimeout) && !errors.Is(err, nats.ErrNoResponders) {
			a.t.Fatal(err)
		}
		return err == nil && infoOf(a.t, m.Data).Uplink == up
	})
}
