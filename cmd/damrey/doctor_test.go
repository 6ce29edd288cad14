package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/bucket"
)

// patient is a fabric that runs in the test's process, for the doctor to look at.
type patient struct {
	fabric
	client *api.Client
	login  []string // flags of the doctor's
}

// startPatient runs a proxy at a NATS server, or with the broker inside.
func startPatient(t *testing.T, change ...func(*fabricConfig)) *patient {
	t.Helper()
	f := fabricFlags{host: "127.0.0.1", prefix: damrey.DefaultPrefix}
	cfg := f.config(&app{log: zerolog.Nop(), lookup: func(string) (string, bool) { return "", false }})
	for _, c := range change {
		c(&cfg)
	}
	ctx, cancel := context.WithCancel(context.Background())
	g := newGroup(ctx)
	running, err := startFabric(ctx, g, cfg)
	t.Cleanup(func() { cancel(); _ = g.finish(errEnds) }) // some are broken so far that they do not end well
	if err != nil {
		t.Fatal(err, g.finish(err))
	}
	client, err := api.New(running.rest)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &patient{fabric: running, client: client}
}

func at(url string) func(*fabricConfig) {
	return func(c *fabricConfig) { c.NATS = damrey.ConnectConfig{URL: url} }
}

// put stores registrations through REST.
func (p *patient) put(t *testing.T, regs ...damrey.Registration) {
	t.Helper()
	for _, reg := range regs {
		if _, err := p.client.Put(t.Context(), reg, ""); err != nil {
			t.Fatal(err)
		}
	}
}

func (p *patient) connect(t *testing.T, options ...nats.Option) *nats.Conn {
	t.Helper()
	return connectTo(t, p.nats[0], options...)
}

func connectTo(t *testing.T, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func (p *patient) jetStream(t *testing.T) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(p.connect(t))
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// diagnose runs the doctor, and checks that its code is as its findings are.
func (p *patient) diagnose(t *testing.T) diagnosis {
	t.Helper()
	return diagnose(t, append([]string{"--proxy", p.rest, "--nats", p.nats[0]}, p.login...)...)
}

func diagnose(t *testing.T, flags ...string) diagnosis {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := execute(append([]string{"doctor", "-o", "json"}, flags...), newTestApp(&stdout, &stderr, nil))
	var d diagnosis
	if err := json.Unmarshal(stdout.Bytes(), &d); err != nil {
		t.Fatalf("%v\n%s%s", err, &stdout, &stderr)
	}
	if isError := d.err() != nil; isError != (code == exitFailed) || !isError && code != exitOK {
		t.Errorf("code %d with %+v", code, d.Findings)
	}
	return d
}

// mustFind fails without a finding of a check whose text holds all of some texts; each says what to type.
func (d diagnosis) mustFind(t *testing.T, s severity, check string, texts ...string) {
	t.Helper()
	if !d.found(s, check, texts...) {
		t.Errorf("no %s of %s with %q among %+v", s, check, texts, d.Findings)
	}
}

func (d diagnosis) found(s severity, check string, texts ...string) bool {
	return slices.ContainsFunc(d.Findings, func(f finding) bool {
		text := f.Where + ": " + f.What + " " + f.Do + " " + f.Hint
		lacks := func(part string) bool { return !strings.Contains(text, part) }
		return f.Check == check && f.Severity == s && f.Do != "" && !slices.ContainsFunc(texts, lacks)
	})
}

func (d diagnosis) result(check string) string {
	for _, c := range d.Checks {
		if c.Name == check {
			return c.Result
		}
	}
	return ""
}

// findsInTime looks again until the doctor finds it: the fabric may take a moment to come to it.
func (p *patient) findsInTime(t *testing.T, s severity, check, text string) {
	t.Helper()
	for deadline := time.Now().Add(bound); ; {
		d := p.diagnose(t)
		if slices.ContainsFunc(d.Findings, func(f finding) bool {
			return f.Check == check && f.Severity == s && strings.Contains(f.Where+f.What, text)
		}) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("never a %s of %s with %q: %+v", s, check, text, d.Findings)
		}
	}
}

// natsServer runs one for the test.
func natsServer(t *testing.T, opts server.Options) *server.Server {
	t.Helper()
	opts.Host, opts.NoSigs, opts.NoLog = "127.0.0.1", true, true
	if opts.Port == 0 {
		opts.Port = -1
	}
	if opts.JetStream {
		opts.StoreDir = t.TempDir()
	}
	srv, err := server.NewServer(&opts)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(bound) {
		t.Fatal("the NATS server is not ready")
	}
	return srv
}

func TestDoctor_FindsNothingWhereAllIsWell(t *testing.T) {
	t.Parallel()
	p := startPatient(t)
	p.put(t, damrey.Registration{Name: "plain"}, damrey.Registration{Name: "lib"},
		damrey.Registration{Name: "src", Commands: []damrey.Command{{Name: "a", Worker: "plain"}, {Name: "b", Worker: "lib", Delivery: damrey.Durable, Key: damrey.KeyArg(0)}}})
	nc := p.connect(t)
	if _, err := nc.QueueSubscribe("damrey.msg.plain.*.*", "plain", func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	serveLib(t, p)
	for deadline := time.Now().Add(bound); ; {
		d := p.diagnose(t)
		notes := 0
		for _, f := range d.Findings {
			if f.Severity == note && f.Where == "worker src" {
				notes++
			}
		}
		if len(d.Findings) == notes && len(d.Checks) == len(checks()) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v", d.Findings)
		}
	}
}

// serveLib runs an instance of the worker lib.
func serveLib(t *testing.T, p *patient) {
	t.Helper()
	w := damrey.New(damrey.Config{Name: "lib"}, zerolog.Nop(), damrey.WithConnect(damrey.ConnectConfig{URL: p.nats[0]}))
	w.Handle("*", func(context.Context, damrey.Msg) (damrey.Msg, error) { return nil, nil })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Serve(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	select {
	case <-w.Ready():
	case <-time.After(bound):
		t.Fatal("the instance is not ready")
	}
}

func TestDoctor_NobodyIsThere(t *testing.T) {
	t.Parallel()
	d := diagnose(t, "--proxy", "127.0.0.1:1", "--nats", "nats://127.0.0.1:1")
	d.mustFind(t, failure, "proxy", "connection refused", "damrey proxy")
	d.mustFind(t, failure, "server", "127.0.0.1:1")
	if got := d.result("stores"); got != "skipped" {
		t.Errorf("stores are %s", got)
	}
}

func TestDoctor_ServerCannotCarryAFabric(t *testing.T) {
	t.Parallel()
	plain := natsServer(t, server.Options{})
	diagnose(t, "--proxy", "127.0.0.1:1", "--nats", plain.ClientURL()).mustFind(t, failure, "server", "JetStream", "nats-server -js")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go answerPings(conn, "2.11.9")
		}
	}()
	diagnose(t, "--proxy", "127.0.0.1:1", "--nats", "nats://"+ln.Addr().String()).mustFind(t, failure, "server", "2.11.9", "2.12")
}

// A cluster has the API level of its oldest server, whatever the one says that is asked.
func TestDoctor_APILevelIsTooLow(t *testing.T) {
	t.Parallel()
	srv := natsServer(t, server.Options{})
	nc := connectTo(t, srv.ClientURL())
	if _, err := nc.Subscribe("$JS.API.INFO", func(m *nats.Msg) {
		_ = m.Respond([]byte(`{"type":"io.nats.jetstream.api.v1.account_info_response","api":{"level":1}}`))
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	diagnose(t, "--proxy", "127.0.0.1:1", "--nats", srv.ClientURL()).mustFind(t, failure, "server", "API level is 1", "2.12")
}

// freePort is one that nobody has now.
func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

// leafOf runs a server whose JetStream is its own, linked to the leaf port of another.
func leafOf(t *testing.T, port int) *server.Server {
	t.Helper()
	remote := &url.URL{Scheme: "nats-leaf", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	leaf := natsServer(t, server.Options{JetStream: true, JetStreamDomain: "edge", LeafNode: server.LeafNodeOpts{
		Remotes: []*server.RemoteLeafOpts{{URLs: []*url.URL{remote}}}, ReconnectInterval: 50 * time.Millisecond,
	}})
	for deadline := time.Now().Add(bound); leaf.NumLeafNodes() == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the leaf does not link")
		}
	}
	return leaf
}

func TestDoctor_TwoFabricsOfOneNameAndTwoDomains(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	hub := natsServer(t, server.Options{JetStream: true, JetStreamDomain: "hub", LeafNode: server.LeafNodeOpts{Host: "127.0.0.1", Port: port}})
	leaf := leafOf(t, port)
	one, two := startPatient(t, at(hub.ClientURL())), startPatient(t, at(leaf.ClientURL()))
	one.put(t, damrey.Registration{Name: "here"})
	two.put(t, damrey.Registration{Name: "there"})
	one.findsInTime(t, failure, "fabrics", two.rest)
	wrong := &patient{fabric: fabric{rest: one.rest, nats: two.nats}, client: one.client}
	d := wrong.diagnose(t)
	d.mustFind(t, failure, "domain", `"edge"`, `"hub"`)
}

func TestDoctor_NoDomain(t *testing.T) {
	t.Parallel()
	srv := natsServer(t, server.Options{JetStream: true})
	startPatient(t, at(srv.ClientURL())).diagnose(t).mustFind(t, note, "domain", "no domain", "jetstream { domain: damrey }")
}

func TestDoctor_NoProxyOnThisNATS(t *testing.T) {
	t.Parallel()
	p := startPatient(t)
	elsewhere := natsServer(t, server.Options{JetStream: true, JetStreamDomain: "damrey"})
	diagnose(t, "--proxy", p.rest, "--nats", elsewhere.ClientURL()).mustFind(t, failure, "fabrics", "no proxy", "/v1/fabric")
	diagnose(t, "--proxy", p.rest, "--nats", p.nats[0], "--prefix", "other").mustFind(t, failure, "proxy", `"damrey"`, "--prefix damrey")
}

func TestDoctor_LoginMayNotDoItsWork(t *testing.T) {
	t.Parallel()
	srv := natsServer(t, server.Options{JetStream: true, JetStreamDomain: "hub", Users: []*server.User{
		{Username: "all", Password: "p"},
		{Username: "w", Password: "p", Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Deny: []string{"damrey.job.>"}},
			Subscribe: &server.SubjectPermission{Deny: []string{"damrey.msg.>"}},
		}},
	}})
	p := startPatient(t, func(c *fabricConfig) {
		c.NATS = damrey.ConnectConfig{URL: srv.ClientURL(), User: "all", Password: "p"}
	})
	p.login = []string{"--user", "all", "--password", "p"}
	if got := p.diagnose(t).result("login"); got != "ok" {
		t.Errorf("who may do all: %s", got)
	}
	p.login[1] = "w"
	d := p.diagnose(t)
	d.mustFind(t, failure, "login", "may not subscribe damrey.msg.", "permissions")
	d.mustFind(t, failure, "login", "may not publish to damrey.job.", "permissions")
	p.login[3] = "wrong"
	p.diagnose(t).mustFind(t, failure, "server", "--creds")
}

func TestDoctor_StoresAreNotAsTheyShouldBe(t *testing.T) {
	t.Parallel()
	p := startPatient(t)
	p.put(t, damrey.Registration{Name: "w", MaxMessages: 10},
		damrey.Registration{Name: "src", Commands: []damrey.Command{{Name: "a", Worker: "w", Delivery: damrey.Durable, Key: damrey.KeyArg(0)}}})
	js := p.jetStream(t)
	for deadline := time.Now().Add(bound); p.diagnose(t).result("stores") != "ok"; {
		if time.Now().After(deadline) {
			t.Fatal("the streams were not made")
		}
	}
	wanted := [][]string{
		{"KV_damrey_workers", "older than 1h", "--max-age 0s"},
		{"DAMREY_DEAD", "does not take damrey.dead.>", "--subjects 'damrey.dead.other.>,damrey.dead.>'"},
		{"DAMREY_JOBS_w", "7, and the table says 10", "--max-msgs=10"},
		{"DAMREY_JOBS_w", "drops what is oldest", "--discard new"},
		{"KV_damrey_agents", "missing", "damrey proxy"},
		{"DAMREY_TRACES", "does not take damrey.trace.*", "--subjects"},
		{"KV_damrey_alarms", "older than 1h", "--max-age 0s"},
		{"DAMREY_JOBS_w", "consumers work, key-5 are missing", "damrey doctor", "after 45 s", "restart one only if it has not"},
		{"DAMREY_LATER", "consumer mover is missing", "damrey doctor", "after 45 s"},
		{"DAMREY_JOBS_w", "consumer key-3 is paused", "consumer resume DAMREY_JOBS_w key-3"},
	}
	for deadline := time.Now().Add(bound); ; { // the proxy mends some of it every now and then, but for what is said to be restored
		if err := js.Conn().Publish(bucket.RestoringSubject(damrey.DefaultPrefix), nil); err != nil {
			t.Fatal(err)
		}
		breakStores(t, js)
		d := p.diagnose(t)
		missed := slices.DeleteFunc(slices.Clone(wanted), func(texts []string) bool { return d.found(failure, "stores", texts...) })
		if len(missed) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not found: %q among %+v", missed, d.Findings)
		}
	}
}

// breakStores does what an operator should not.
func breakStores(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	ctx := t.Context()
	for name, change := range map[string]func(*jetstream.StreamConfig){
		"KV_damrey_workers": func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour },
		"KV_damrey_alarms":  func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour },
		"DAMREY_TRACES":     func(c *jetstream.StreamConfig) { c.Subjects = []string{"damrey.trace.other"} },
		"DAMREY_DEAD":       func(c *jetstream.StreamConfig) { c.Subjects = []string{"damrey.dead.other.>"} },
		"DAMREY_JOBS_w":     func(c *jetstream.StreamConfig) { c.MaxMsgs, c.Discard = 7, jetstream.DiscardOld },
	} {
		s, err := js.Stream(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		cfg := s.CachedInfo().Config
		change(&cfg)
		if _, err := js.UpdateStream(ctx, cfg); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{
		js.DeleteStream(ctx, "KV_damrey_agents"), js.DeleteConsumer(ctx, "DAMREY_JOBS_w", bucket.JobsConsumer),
		js.DeleteConsumer(ctx, "DAMREY_JOBS_w", bucket.KeyConsumer(5)), js.DeleteConsumer(ctx, "DAMREY_LATER", bucket.LaterConsumer),
	} {
		if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			t.Fatal(err)
		}
	}
	if _, err := js.PauseConsumer(ctx, "DAMREY_JOBS_w", bucket.KeyConsumer(3), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
}

func TestDoctor_ReplicasAreAway(t *testing.T) {
	t.Parallel()
	servers := natsCluster(t, 3)
	p := startPatient(t, at(servers[0].ClientURL()), func(c *fabricConfig) { c.Proxy.Replicas = 3 })
	servers[2].Shutdown()
	p.findsInTime(t, failure, "replicas", "its copy at n2 is offline")
}

// natsCluster runs servers n0, n1, … as one cluster with JetStream.
func natsCluster(t *testing.T, n int) []*server.Server {
	t.Helper()
	ports := make([]int, n)
	var routes []*url.URL
	for i := range ports {
		ports[i] = freePort(t)
		routes = append(routes, &url.URL{Scheme: "nats-route", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[i]))})
	}
	servers := make([]*server.Server, n)
	for i := range servers {
		servers[i] = natsServer(t, server.Options{
			ServerName: "n" + strconv.Itoa(i), JetStream: true, Routes: routes,
			Cluster: server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: ports[i]},
		})
	}
	js, err := jetstream.New(connectTo(t, servers[0].ClientURL()))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(bound); ; time.Sleep(50 * time.Millisecond) { // a poll with a bound
		_, err := js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "PROBE", Subjects: []string{"probe"}, Replicas: n})
		if err == nil {
			return servers
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestDoctor_ClocksDiffer(t *testing.T) {
	t.Parallel()
	p := startPatient(t)
	target, err := url.Parse(p.rest)
	if err != nil {
		t.Fatal(err)
	}
	// The proxy's own answers, but for instances on two machines and an agent on a third whose clocks are wrong.
	real := httputil.NewSingleHostReverseProxy(target)
	list := api.InstanceList{Instances: []api.Instance{
		{Worker: "a", Host: "slow", State: "ready", Skew: -2}, {Worker: "b", Host: "slow", State: "ready", Skew: -0.1},
		{Worker: "a", Host: "wild", State: "ready", Skew: 3600}, {Worker: "a", Host: "gone", State: "left", Skew: 3600}, {Worker: "a", Host: "well", State: "ready", Skew: 0.2},
	}}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/instances" {
			_ = json.NewEncoder(w).Encode(list)
			return
		}
		if r.URL.Path == "/v1/agents" {
			_ = json.NewEncoder(w).Encode(api.AgentList{Agents: []api.Agent{
				{Name: "10.1.2.3:4222", Host: "edge", Held: true, State: "standby", Skew: -30}, {Name: "10.1.2.4:4222", Host: "gone", State: "lost", Skew: 60},
			}})
			return
		}
		real.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	d := diagnose(t, "--proxy", srv.URL, "--nats", p.nats[0])
	d.mustFind(t, failure, "clocks", "machine edge", "-30.0 s")
	d.mustFind(t, warning, "clocks", "machine slow", "-2.0 s", "timedatectl")
	d.mustFind(t, failure, "clocks", "machine wild", "+3600.0 s")
	for _, f := range d.Findings {
		if strings.Contains(f.Where, "gone") || strings.Contains(f.Where, "well") || strings.Contains(f.Where, "broker") {
			t.Errorf("%+v", f)
		}
	}
}

func TestDoctor_StreamsOfOthersStoreMessages(t *testing.T) {
	t.Parallel()
	p := startPatient(t)
	js := p.jetStream(t)
	for name, subject := range map[string]string{"COPY": "damrey.msg.add.>", "BANK": "damrey.msg.bank.*.shop", "OUT": "damrey.out.>", "ELSE": "other.>"} {
		if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{subject}}); err != nil {
			t.Fatal(err)
		}
	}
	d := p.diagnose(t)
	d.mustFind(t, failure, "streams", "stream COPY", "damrey.msg.add.>", "nats stream rm COPY")
	d.mustFind(t, failure, "streams", "stream BANK", "damrey.msg.bank.*.shop", "nats stream rm BANK")
	d.mustFind(t, warning, "streams", "stream OUT", "damrey.out.>")
	for _, f := range d.Findings {
		if strings.Contains(f.Where, "ELSE") {
			t.Errorf("%+v", f)
		}
	}
}

func TestDoctor_AgentLostItsLease(t *testing.T) {
	t.Parallel()
	p := startPatient(t, func(c *fabricConfig) { c.Proxy.Lease = 50 * time.Millisecond })
	if _, err := p.client.ClaimAgent(t.Context(), "10.1.2.3:4222", api.Claim{ID: "x", Host: "far", PID: 7}); err != nil {
		t.Fatal(err)
	}
	p.findsInTime(t, warning, "agents", "agent 10.1.2.3:4222")
	p.diagnose(t).mustFind(t, warning, "agents", "process 7 on far", "damrey agent -a ", "on far")
}

func TestDoctor_TableLeadsNowhere(t *testing.T) {
	t.Parallel()
	p := startPatient(t)
	p.put(t, damrey.Registration{Name: "src", Commands: []damrey.Command{{Name: "a", Worker: "nobody"}, {Name: "b", Worker: "idle", Paused: true}}}, damrey.Registration{Name: "idle", Paused: true})
	if _, err := p.jetStream(t).Publish(t.Context(), "$KV.damrey_workers.broken", []byte("{")); err != nil {
		t.Fatal(err)
	}
	d := p.diagnose(t)
	d.mustFind(t, failure, "table", "src→a→nobody", "damrey worker add nobody")
	d.mustFind(t, failure, "table", "worker broken", "damrey worker del broken")
	d.mustFind(t, note, "table", "worker idle", "damrey worker resume idle")
	d.mustFind(t, note, "table", "src→b→idle", "damrey route resume src b")
	d.mustFind(t, failure, "workers", "worker idle", "no instance", "damrey worker run idle")
	d.mustFind(t, note, "workers", "worker src", "no route leads to it")
}

func TestDoctor_InstancesReceiveNothing(t *testing.T) {
	t.Parallel()
	p := startPatient(t)
	p.put(t, damrey.Registration{Name: "lib"})
	serveLib(t, p)
	p.put(t, damrey.Registration{Name: "lib", Agent: "10.9.9.9:4222"}, damrey.Registration{Name: "src", Commands: []damrey.Command{{Name: "a", Worker: "lib"}}})
	p.findsInTime(t, failure, "workers", "pinned to the agent 10.9.9.9:4222")
}
