package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/broker"
)

// listen is known to the server when it returns. Without a queue group it is empty.
func listen(t *testing.T, nc *nats.Conn, subject, queue string) *nats.Subscription {
	t.Helper()
	sub, err := nc.QueueSubscribe(subject, queue, func(*nats.Msg) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return sub
}

// mustNotFind fails with a finding of a check whose text holds a text.
func (d diagnosis) mustNotFind(t *testing.T, check, text string) {
	t.Helper()
	for _, f := range d.Findings {
		if f.Check == check && strings.Contains(f.Where+f.What+f.Do+f.Hint, text) {
			t.Errorf("%+v", f)
		}
	}
}

func withShopAndBank(t *testing.T, p *patient) {
	t.Helper()
	p.put(t, damrey.Registration{Name: "bank"}, damrey.Registration{Name: "shop", Commands: []damrey.Command{{Name: "pay", Worker: "bank"}}})
}

const noBank = "routes lead to it, and it has no instance"

// A listener hides from senders that a worker is gone, and must not hide it from who looks for that.
func TestDoctor_SomebodyListensToOneWorker(t *testing.T) {
	t.Parallel()
	p := startPatient(t)
	withShopAndBank(t, p)
	nc := p.connect(t, nats.Name("nosy"))
	listen(t, nc, "damrey.msg.bank.>", "")
	d := p.diagnose(t)
	d.mustFind(t, failure, "listeners", "nosy at 127.0.0.1:", "since", "damrey.msg.bank.> without a queue group", "TIMEOUT in place of STOP",
		"damrey tap '*' --to bank", "damrey.msg.bank.*.* in the queue group bank")
	d.mustFind(t, failure, "workers", "worker bank", noBank, "damrey worker run bank")
	listen(t, nc, "damrey.msg.bank.*.*", "audit")
	p.diagnose(t).mustFind(t, failure, "listeners", "damrey.msg.bank.*.* in the queue group audit", "damrey tap '*' --to bank")

	listen(t, p.connect(t), "damrey.msg.bank.*.*", "bank") // a worker without the library
	d = p.diagnose(t)
	d.mustFind(t, failure, "listeners", "nosy", "damrey.msg.bank.>")
	d.mustNotFind(t, "workers", "worker bank")
}

func TestDoctor_WorkerWithoutTheLibraryIsNoListener(t *testing.T) {
	t.Parallel()
	p := startPatient(t)
	withShopAndBank(t, p)
	listen(t, p.connect(t), "damrey.msg.bank.*.*", "bank")
	d := p.diagnose(t)
	d.mustNotFind(t, "listeners", "")
	d.mustNotFind(t, "workers", "worker bank")
	if got := d.result("listeners"); got != "ok" {
		t.Errorf("listeners: %s", got)
	}
}

func TestDoctor_SomebodyListensToAllMessages(t *testing.T) {
	t.Parallel()
	p := startPatient(t)
	for _, subject := range []string{"damrey.msg.>", "damrey.>", ">", "damrey.msg.*.pay.*"} {
		sub := listen(t, p.connect(t, nats.Name("nosy")), subject, "")
		p.diagnose(t).mustFind(t, failure, "listeners", "nosy at 127.0.0.1:", "subscribes to "+subject+" ", "damrey tap '*'")
		if err := sub.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
	}
}

// Many that subscribe alike are one finding.
func TestDoctor_ManyListenToOneWorker(t *testing.T) {
	t.Parallel()
	p := startPatient(t)
	for i := range namedListeners + 3 {
		listen(t, p.connect(t, nats.Name("nosy-"+strconv.Itoa(i))), "damrey.msg.bank.>", "")
	}
	d := p.diagnose(t)
	d.mustFind(t, failure, "listeners", "nosy-1", "; and 3 more")
	if n := strings.Count(strings.Join(wheres(d, "listeners"), "; "), "nosy"); n != namedListeners {
		t.Errorf("%d are named", n)
	}
}

func wheres(d diagnosis, check string) (all []string) {
	for _, f := range d.Findings {
		if f.Check == check {
			all = append(all, f.Where)
		}
	}
	return all
}

// Each proxy knows of its own broker only.
func TestDoctor_AsksAllProxiesWhoListens(t *testing.T) {
	t.Parallel()
	one, two := startPatient(t), startPatient(t)
	withShopAndBank(t, one)
	listen(t, one.connect(t, nats.Name("near")), "damrey.msg.bank.>", "")
	far := two.connect(t)
	listen(t, far, "damrey.msg.bank.*.*", "bank")
	listen(t, far, "damrey.msg.shop.>", "")
	target, err := url.Parse(one.rest)
	if err != nil {
		t.Fatal(err)
	}
	fabric, err := one.client.Fabric(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fabric.Proxies = append(fabric.Proxies, two.rest, "http://127.0.0.1:1")
	real := httputil.NewSingleHostReverseProxy(target)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/fabric" {
			_ = json.NewEncoder(w).Encode(fabric)
			return
		}
		real.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	d := diagnose(t, "--proxy", srv.URL, "--nats", one.nats[0])
	d.mustFind(t, failure, "listeners", "near at 127.0.0.1:", "damrey.msg.bank.>")
	d.mustFind(t, failure, "listeners", "damrey.msg.shop.>")
	d.mustFind(t, note, "listeners", "proxy http://127.0.0.1:1", "connection refused", "damrey doctor --proxy http://127.0.0.1:1")
	d.mustNotFind(t, "workers", noBank)
	if n := strings.Count(strings.Join(wheres(d, "listeners"), "; "), "near"); n != 1 {
		t.Errorf("a proxy and a server told of the same listener, and it is named %d times", n)
	}
}

// The broker knows only the agent; the agent knows who it is.
func TestDoctor_SomebodyListensBehindAnAgent(t *testing.T) {
	t.Parallel()
	p := startPatient(t)
	withShopAndBank(t, p)
	const agent = "127.0.0.1:4321"
	leaf, err := broker.NewLeaf(broker.LeafConfig{Name: agent, Port: -1, Domain: "damrey", Remotes: p.leaf})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	go func() { _ = leaf.Run(ctx) }()
	select {
	case <-leaf.Ready():
	case <-time.After(bound):
		t.Fatal("the leaf is not ready")
	}
	nc := connectTo(t, leaf.ClientURL(), nats.Name("nosy"))
	listen(t, nc, "damrey.msg.bank.>", "")
	p.findsInTime(t, failure, "listeners", "somebody at the agent "+agent)
	d := p.diagnose(t)
	d.mustFind(t, failure, "listeners", "damrey.msg.bank.>", "damrey doctor --nats nats://"+agent)
	d.mustFind(t, failure, "workers", "worker bank", noBank)
	d = diagnose(t, "--proxy", p.rest, "--nats", leaf.ClientURL())
	d.mustFind(t, failure, "listeners", "nosy at 127.0.0.1:", "damrey.msg.bank.>")
	d.mustNotFind(t, "listeners", "somebody")
	listen(t, nc, "damrey.msg.bank.*.*", "bank")
	p.findsNoMore(t, "workers", noBank)
}

// findsNoMore looks again until the doctor does not find it.
func (p *patient) findsNoMore(t *testing.T, check, text string) {
	t.Helper()
	for deadline := time.Now().Add(bound); ; {
		d := p.diagnose(t)
		if !d.found(failure, check, text) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still there: %+v", d.Findings)
		}
	}
}

// An external NATS is not asked by the proxy; its servers tell a login about its own account.
func TestDoctor_SomebodyListensAtAnExternalNATS(t *testing.T) {
	t.Parallel()
	srv := natsServer(t, server.Options{JetStream: true, JetStreamDomain: "hub"})
	p := startPatient(t, at(srv.ClientURL()))
	withShopAndBank(t, p)
	listen(t, p.connect(t, nats.Name("nosy")), "damrey.msg.bank.>", "")
	d := p.diagnose(t)
	d.mustFind(t, failure, "listeners", "nosy at 127.0.0.1:", "damrey.msg.bank.>", "damrey tap '*' --to bank")
	d.mustFind(t, failure, "workers", "worker bank", noBank)
	listen(t, p.connect(t), "damrey.msg.bank.*.*", "bank")
	p.diagnose(t).mustNotFind(t, "workers", noBank)
}

// Where nobody tells who subscribes, a worker that there is not is asked, and what is not seen is said.
func TestDoctor_NobodyTellsWhoListens(t *testing.T) {
	t.Parallel()
	srv := natsServer(t, server.Options{JetStream: true, JetStreamDomain: "hub", Users: []*server.User{
		{Username: "all", Password: "p"},
		{Username: "w", Password: "p", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"$SYS.>"}}}},
	}})
	p := startPatient(t, func(c *fabricConfig) {
		c.NATS = damrey.ConnectConfig{URL: srv.ClientURL(), User: "all", Password: "p"}
	})
	p.login = []string{"--user", "w", "--password", "p"}
	withShopAndBank(t, p)
	nc := p.connect(t, nats.UserInfo("all", "p"))
	listen(t, nc, "damrey.msg.bank.>", "")
	d := p.diagnose(t)
	d.mustFind(t, note, "listeners", "somebody who does so for some workers only is not found", "server request connections")
	d.mustFind(t, failure, "workers", "worker bank", noBank, "unless it is a program without the library")
	d.mustNotFind(t, "listeners", "subscribes to all")
	listen(t, nc, "damrey.>", "")
	p.diagnose(t).mustFind(t, failure, "listeners", "somebody", "subscribes to all of damrey.msg", "server request connections")
}
