//go:build linux

package faults

import (
	"context"
	"net"
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
	t         testing.TB
	journal   journal
	log       zerolog.Logger // of the instances in this process
	hub       *process       // proxy, and broker where it has no process of its own
	broker    *process       // where it has one
	rest      string
	nats      int
	leaf      int
	data      string
	client    *api.Client // of hub
	processes []*process
	returned  bool // a usage was looked at again
}

// newSite starts a proxy with the broker inside, and registers the lines
// entry → echo, entry → pass → echo, entry → here and entry → sink. The test is
// over when every process has ended in order, what was left of them holds what
// it held before, and this process has as many goroutines as before.
func newSite(t testing.TB) *site {
	t.Helper()
	s := prepareSite(t)
	s.hub = s.proxy("proxy", s.rest, "--nats-port", strconv.Itoa(s.nats), "--leaf-port", strconv.Itoa(s.leaf), "--data", s.data).start()
	s.rows()
	return s
}

// newSiteApart is newSite with the broker in a process of its own.
func newSiteApart(t testing.TB) *site {
	t.Helper()
	s := prepareSite(t)
	s.broker = s.newProcess("broker", "faultbroker", "-port", strconv.Itoa(s.nats), "-leaf-port", strconv.Itoa(s.leaf), "-data", s.data).start()
	s.hub = s.proxy("proxy", s.rest, "--nats", s.hubURL(), "--leaf", "nats-leaf://"+local(s.leaf)).start()
	s.rows()
	return s
}

func prepareSite(t testing.TB) *site {
	t.Helper()
	dependOnProduct(t)
	leavesNothing(t)
	s := &site{t: t, journal: newJournal(t), log: testLog(t), data: filepath.Join(t.TempDir(), "data")}
	t.Cleanup(func() {
		if !s.returned && !t.Failed() {
			t.Error("the test does not look at what its processes hold after the fault")
		}
	})
	s.rest, s.nats, s.leaf = local(freePort(t)), freePort(t), freePort(t)
	s.client = s.newClient(s.rest)
	return s
}

// proxy prepares one that serves REST at an address.
func (s *site) proxy(name, rest string, args ...string) *process {
	s.t.Helper()
	_, port, err := net.SplitHostPort(rest)
	must(s.t, err)
	p := s.newProcess(name, "damrey", append([]string{"proxy", "-p", port}, args...)...)
	p.goroutines = func() int { return metricsGoroutines(s.t, rest) }
	return p
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
	rest = local(freePort(s.t))
	return s.proxy("front", rest, "--nats", s.hubURL(), "--leaf", "nats-leaf://"+leaf).start(), rest
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
	a := &agent{port: port, process: s.newProcess("agent-"+name, "damrey", "agent", "-a", name,
		"-p", strconv.Itoa(port), "--proxy", rest, "--data", dir)}
	a.goroutines = func() int {
		info, err := a.info()
		must(s.t, err)
		return info.Goroutines
	}
	return a
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
	return s.newProcess(name, "faultworker", args...)
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
	eventually(a.t, a.name+"'s link changes", func() bool {
		info, err := a.info()
		return err == nil && info.Uplink == up
	})
}
