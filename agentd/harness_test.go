package agentd_test

import (
	"bytes"
	"context"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/agentd"
	"github.com/damrey/damrey/broker"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/proxyd"
)

// patience bounds every wait in these tests; none of them depends on how much of it is used.
const patience = 30 * time.Second

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func await(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("not within %v: %s", patience, what)
	}
}

// eventually polls until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(patience); !ok(); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// says fails the test when err lacks one of the texts.
func says(t *testing.T, err error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("says nothing of %q: %v", text, err)
		}
	}
}

// logs keeps what was logged.
type logs struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) logger() zerolog.Logger { return zerolog.New(l) }

func (l *logs) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// part is anything with the shape of a daemon.
type part interface {
	Run(context.Context) error
	Ready() <-chan struct{}
}

// running is a part that runs until stop, or until the test ends.
type running struct {
	t      *testing.T
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // set before ended closes
}

func run(t *testing.T, p part) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, cancel: cancel, ended: make(chan struct{})}
	go func() { defer close(r.ended); r.err = p.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-r.ended })
	return r
}

func (r *running) stop() {
	r.t.Helper()
	r.cancel()
	<-r.ended
	if r.err != nil {
		r.t.Errorf("Run: %v", r.err)
	}
}

// hub is machine 0: broker and proxy, which stop and start again on the same ports and directory.
type hub struct {
	t         *testing.T
	cfg       broker.Config
	proxyCfg  proxyd.Config
	broker    *running
	proxy     *running
	client    *api.Client
	proxyAddr string
}

func newHub(t *testing.T) *hub {
	t.Helper()
	h := &hub{t: t, cfg: broker.Config{Port: -1, LeafPort: -1, Dir: t.TempDir()}, proxyCfg: proxyd.Config{Listen: "127.0.0.1:0"}}
	h.startBroker()
	h.startProxy()
	return h
}

func (h *hub) startBroker() {
	h.t.Helper()
	b, err := broker.New(h.cfg)
	must(h.t, err)
	h.broker = run(h.t, b)
	await(h.t, "broker", b.Ready())
	h.cfg.Port, h.cfg.LeafPort = portOf(h.t, b.ClientURL()), portOf(h.t, b.LeafURL())
	h.proxyCfg.Domain, h.proxyCfg.LeafURLs, h.proxyCfg.NATSURLs = b.Domain(), []string{b.LeafURL()}, []string{b.ClientURL()}
}

func portOf(t *testing.T, raw string) int {
	t.Helper()
	u, err := url.Parse(raw)
	must(t, err)
	port, err := strconv.Atoi(u.Port())
	must(t, err)
	return port
}

func (h *hub) startProxy() {
	h.t.Helper()
	nc, err := damrey.Connect(damrey.ConnectConfig{URL: h.proxyCfg.NATSURLs[0]})
	must(h.t, err)
	h.t.Cleanup(nc.Close)
	p, err := proxyd.New(nc, h.proxyCfg)
	must(h.t, err)
	h.proxy = run(h.t, p)
	await(h.t, "proxy", p.Ready())
	h.proxyAddr = strings.TrimPrefix(p.URL(), "http://")
	h.proxyCfg.Listen = h.proxyAddr
	if h.client == nil {
		h.client, err = api.New(h.proxyAddr)
		must(h.t, err)
		h.t.Cleanup(h.client.Close)
	}
}

// register puts a worker into the table with one command.
func (h *hub) register(name, typ, to string) {
	h.t.Helper()
	reg := damrey.Registration{Name: name}
	if typ != "" {
		reg.Commands = []damrey.Command{{Name: typ, Worker: to}}
	}
	_, err := h.client.Put(h.t.Context(), reg, "")
	must(h.t, err)
}

// settle returns when the proxy does all that it begins after it is ready: it has made a stream for what stands in the table,
// and has looked for alarms.
func (h *hub) settle() {
	h.t.Helper()
	_, err := h.client.Put(h.t.Context(), damrey.Registration{
		Name: "entry", Commands: []damrey.Command{{Name: "add", Worker: "add", Delivery: damrey.Durable}},
	}, "")
	must(h.t, err)
	nc, err := nats.Connect(h.proxyCfg.NATSURLs[0])
	must(h.t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	must(h.t, err)
	eventually(h.t, "the stream of jobs is there", func() bool {
		_, err := js.Consumer(h.t.Context(), "DAMREY_JOBS_add", "work")
		return err == nil
	})
	eventually(h.t, "alarms are known", func() bool {
		_, err := h.client.Alarms(h.t.Context(), api.AlarmFilter{})
		return err == nil
	})
}

// config of an agent of this hub.
func (h *hub) config(name, dir string) agentd.Config {
	return agentd.Config{Name: name, Proxy: h.proxyAddr, Dir: dir}
}

// machine is one with a leaf server and an agent.
type machine struct {
	t     *testing.T
	m     *agentd.Membership
	leaf  *broker.Leaf
	run   *running   // of the leaf server
	nc    *nats.Conn // the agent's
	user  *nats.Conn // a stock client's
	agent *agentd.Agent
	serve *running // of the agent
}

// start joins and runs an agent as a program would.
func start(t *testing.T, cfg agentd.Config) *machine {
	t.Helper()
	m, err := agentd.Join(t.Context(), cfg)
	must(t, err)
	x := &machine{t: t, m: m}
	x.startLeaf()
	cfg.Uplink = x.leaf.Watch
	x.agent = agentd.New(x.nc, m, cfg)
	x.serve = run(t, x.agent)
	await(t, "agent", x.agent.Ready())
	return x
}

// startLeaf runs the leaf server that the membership describes.
func (x *machine) startLeaf() {
	x.t.Helper()
	var err error
	x.leaf, err = broker.NewLeaf(broker.LeafConfig{
		Name: x.m.Name, Port: -1, Remotes: x.m.Fabric.Leaf, Domain: x.m.Fabric.Domain, Prefix: x.m.Fabric.Prefix,
		MaxPayload: int32(x.m.Fabric.MaxPayload),
	})
	must(x.t, err)
	x.run = run(x.t, x.leaf)
	await(x.t, "leaf", x.leaf.Ready())
	x.nc, x.user = x.connect(), x.connect()
}

// connect is a stock client of the machine's leaf server.
func (x *machine) connect() *nats.Conn {
	x.t.Helper()
	nc, err := x.leaf.Connect()
	must(x.t, err)
	x.t.Cleanup(nc.Close)
	return nc
}

// stop ends all of it as a program would.
func (x *machine) stop() {
	x.t.Helper()
	x.serve.stop()
	must(x.t, x.m.Close())
	x.user.Close()
	x.nc.Close()
	x.run.stop()
}

// fresh waits until the agent follows the broker.
func (x *machine) fresh() {
	x.t.Helper()
	eventually(x.t, "the table is fresh", func() bool { return !x.agent.Stale() })
}

// worker serves an instance at the machine which answers its own name.
func (x *machine) worker(name string) *damrey.Instance {
	x.t.Helper()
	w := damrey.New(damrey.Config{Name: name}, zerolog.Nop(), damrey.WithConnect(damrey.ConnectConfig{URL: x.leaf.ClientURL()}))
	w.Handle("*", func(context.Context, damrey.Msg) (damrey.Msg, error) { return damrey.Reply(name), nil })
	done := make(chan error, 1)
	go func() { done <- w.Serve(context.Background()) }()
	x.t.Cleanup(func() {
		w.Stop()
		if err := <-done; err != nil {
			x.t.Errorf("Serve: %v", err)
		}
	})
	await(x.t, name+" is ready", w.Ready())
	return w
}

// ask sends the output of a program without the library and returns the answer.
func (x *machine) ask(from, typ string) string {
	x.t.Helper()
	m, err := x.user.Request(damrey.OutSubject("damrey", from, typ), []byte("x"), patience)
	if err != nil {
		return err.Error()
	}
	return string(m.Data)
}
