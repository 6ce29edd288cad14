package broker_test

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/damrey/damrey/broker"
	"github.com/damrey/damrey/internal/bucket"
)

const agentName = "10.1.2.3:8080"

func TestLeaf_WatchesABucketOfTheBroker(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	hub := startBroker(t, broker.Config{})
	leaf := startLeaf(t, agentName, hub.LeafURL())
	nc := connect(t, leaf)
	if name := nc.ConnectedServerName(); name != agentName {
		t.Errorf("server name %q", name)
	}

	atHub := jetStream(t, connect(t, hub))
	if err := bucket.Ensure(ctx, atHub, "damrey"); err != nil {
		t.Fatal(err)
	}
	kv, err := jetStream(t, nc).KeyValue(ctx, bucket.Name("damrey"))
	if err != nil {
		t.Fatal(err)
	}
	watch, err := kv.WatchAll(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = watch.Stop() }()
	if e := <-watch.Updates(); e != nil {
		t.Errorf("%s in an empty bucket", e.Key())
	}
	source, err := atHub.KeyValue(ctx, bucket.Name("damrey"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := source.PutString(ctx, "add", "1"); err != nil {
		t.Fatal(err)
	}
	select {
	case e := <-watch.Updates():
		if e.Key() != "add" || string(e.Value()) != "1" {
			t.Errorf("got %s = %s", e.Key(), e.Value())
		}
	case <-ctx.Done():
		t.Error("nothing came through the leaf")
	}
}

func TestLeaf_QueueGroupsPreferItsOwnMembers(t *testing.T) {
	t.Parallel()
	hub := startBroker(t, broker.Config{})
	one, two := startLeaf(t, "one", hub.LeafURL()), startLeaf(t, "two", hub.LeafURL())
	c1, c2 := connect(t, one), connect(t, two)
	serve := func(nc *nats.Conn, name string) {
		_, err := nc.QueueSubscribe("damrey.msg.add.*.*", "add", func(m *nats.Msg) { _ = m.Respond([]byte(name)) })
		if err != nil {
			t.Fatal(err)
		}
		flush(t, nc)
	}
	ask := func(nc *nats.Conn) string {
		m, err := nc.Request("damrey.msg.add.add.entry", nil, time.Second)
		if err != nil {
			return err.Error()
		}
		return string(m.Data)
	}
	serve(c2, "two")
	eventually(t, "one reaches the member at two", func() bool { return ask(c1) == "two" })
	serve(c1, "one")
	for range 100 {
		if got := ask(c1); got != "one" {
			t.Fatalf("one was answered by %s", got)
		}
		if got := ask(c2); got != "two" {
			t.Fatalf("two was answered by %s", got)
		}
	}
}

func TestLeaf_NobodyThereIsAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	hub := startBroker(t, broker.Config{})
	at, far := connect(t, startLeaf(t, "one", hub.LeafURL())), connect(t, startLeaf(t, "two", hub.LeafURL()))
	reach(t, at, far)
	if _, err := at.Request("damrey.msg.nobody.add.entry", nil, patience); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("got %v", err)
	}

	// A member that goes is unknown at the other leaf as soon as that is told.
	sub, err := far.SubscribeSync("damrey.msg.add.*.*")
	if err != nil {
		t.Fatal(err)
	}
	flush(t, far)
	if err := sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	reach(t, at, far)
	if _, err := at.Request("damrey.msg.add.add.entry", nil, patience); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("after it went: %v", err)
	}
}

func TestLeaf_OutAndLocalNeverCross(t *testing.T) {
	t.Parallel()
	hub := startBroker(t, broker.Config{})
	ends := map[string]*nats.Conn{
		"hub": connect(t, hub),
		"one": connect(t, startLeaf(t, "one", hub.LeafURL())),
		"two": connect(t, startLeaf(t, "two", hub.LeafURL())),
	}
	for from, publisher := range ends {
		for to, listener := range ends {
			if from == to {
				continue
			}
			all, err := listener.SubscribeSync("damrey.>")
			if err != nil {
				t.Fatal(err)
			}
			exact, err := listener.SubscribeSync("damrey.out.entry.add")
			if err != nil {
				t.Fatal(err)
			}
			flush(t, listener)
			reach(t, publisher, listener)
			// One publisher's messages arrive in order, so the last of these tells that the others did not come.
			for _, subject := range []string{"damrey.out.entry.add", "damrey.local.uplink", "damrey.msg.add.add.entry"} {
				if err := publisher.Publish(subject, nil); err != nil {
					t.Fatal(err)
				}
			}
			flush(t, publisher)
			m, err := all.NextMsgWithContext(testContext(t))
			if err != nil {
				t.Fatalf("%s → %s: %v", from, to, err)
			}
			if m.Subject != "damrey.msg.add.add.entry" {
				t.Errorf("%s → %s: %s crossed", from, to, m.Subject)
			}
			if n, _, _ := exact.Pending(); n > 0 {
				t.Errorf("%s → %s: %d messages crossed to an exact subscription", from, to, n)
			}
			_, _ = all.Unsubscribe(), exact.Unsubscribe()
		}
	}
}

func TestLeaf_OutReachesItsOwnClients(t *testing.T) {
	t.Parallel()
	hub := startBroker(t, broker.Config{})
	leaf := startLeaf(t, agentName, hub.LeafURL())
	bridge, program := connect(t, leaf), connect(t, leaf)
	if _, err := bridge.Subscribe("damrey.out.*.*", func(m *nats.Msg) { _ = m.Respond([]byte("here")) }); err != nil {
		t.Fatal(err)
	}
	flush(t, bridge)
	if m, err := program.Request("damrey.out.entry.add", nil, patience); err != nil || string(m.Data) != "here" {
		t.Errorf("got %v, %v", m, err)
	}
}

func TestLeaf_OtherPrefixStaysLocalInstead(t *testing.T) {
	t.Parallel()
	hub := startBroker(t, broker.Config{})
	leaf := newLeaf(t, broker.LeafConfig{Name: agentName, Prefix: "test", Remotes: []string{hub.LeafURL()}})
	start(t, leaf)
	at, far := connect(t, leaf), connect(t, hub)
	sub, err := far.SubscribeSync("*.out.>")
	if err != nil {
		t.Fatal(err)
	}
	flush(t, far)
	reach(t, at, far)
	for _, subject := range []string{"test.out.entry.add", "damrey.out.entry.add"} {
		if err := at.Publish(subject, nil); err != nil {
			t.Fatal(err)
		}
	}
	if m, err := sub.NextMsgWithContext(testContext(t)); err != nil || m.Subject != "damrey.out.entry.add" {
		t.Errorf("got %v, %v", m, err)
	}
}

// A message over the broker's limit tears the link down, and all that goes over it: a leaf refuses its clients' instead.
func TestTrap_AMessageOverTheBrokersLimitTearsTheLinkDown(t *testing.T) {
	t.Parallel()
	hub := startBroker(t, broker.Config{MaxPayload: 4096})
	send := func(limit int32) (*broker.Leaf, error) {
		leaf := newLeaf(t, broker.LeafConfig{Name: agentName, Remotes: []string{hub.LeafURL()}, MaxPayload: limit})
		start(t, leaf)
		eventually(t, "it has its uplink", leaf.Uplink)
		at, far := connect(t, leaf), connect(t, hub)
		if _, err := far.SubscribeSync("size"); err != nil {
			t.Fatal(err)
		}
		flush(t, far)
		reach(t, at, far)
		changes := watchUplink(t, leaf)
		nextUplink(t, changes, true)
		err := at.Publish("size", make([]byte, 4097))
		if err == nil {
			nextUplink(t, changes, false)
		}
		return leaf, err
	}
	if leaf, err := send(4096); !errors.Is(err, nats.ErrMaxPayload) || !leaf.Uplink() {
		t.Errorf("with the broker's limit: %v, uplink %v", err, leaf.Uplink())
	}
	if _, err := send(1 << 20); err != nil {
		t.Errorf("with another limit: %v", err)
	}
}

func TestLeaf_HasTheBrokersPayloadLimit(t *testing.T) {
	t.Parallel()
	hub := startBroker(t, broker.Config{})
	leaf := startLeaf(t, agentName, hub.LeafURL())
	at, far := connect(t, leaf), connect(t, hub)
	if at.MaxPayload() != far.MaxPayload() || at.MaxPayload() != 1<<20 {
		t.Errorf("leaf %d, broker %d", at.MaxPayload(), far.MaxPayload())
	}
	_, err := far.Subscribe("size", func(m *nats.Msg) { _ = m.Respond([]byte(strconv.Itoa(len(m.Data)))) })
	if err != nil {
		t.Fatal(err)
	}
	flush(t, far)
	reach(t, at, far)
	if err := at.Publish("size", make([]byte, 1<<20+1)); !errors.Is(err, nats.ErrMaxPayload) {
		t.Errorf("one byte too many: %v", err)
	}
	if m, err := at.Request("size", make([]byte, 1<<20), patience); err != nil || string(m.Data) != "1048576" {
		t.Errorf("the largest message: %v, %v", m, err)
	}
}

func TestLeaf_NamesThePortThatIsTaken(t *testing.T) {
	t.Parallel()
	taken := takePort(t)
	_, err := broker.NewLeaf(broker.LeafConfig{Port: taken, Domain: "damrey", Remotes: []string{"nats-leaf://127.0.0.1:7422"}})
	wantError(t, err, broker.ErrPort, fmt.Sprint("port ", taken), "-p")
}

func TestLeaf_RefusesOpenListenWithoutInsecure(t *testing.T) {
	t.Parallel()
	cfg := broker.LeafConfig{Host: "0.0.0.0", Port: -1, Domain: "damrey", Remotes: []string{"nats-leaf://127.0.0.1:7422"}}
	_, err := broker.NewLeaf(cfg)
	wantError(t, err, broker.ErrOpenListen, "--insecure")
	cfg.Insecure = true
	if _, err := broker.NewLeaf(cfg); err != nil {
		t.Error(err)
	}
}

func TestLeafConfig_ErrorsNameTheField(t *testing.T) {
	t.Parallel()
	good := []string{"nats-leaf://127.0.0.1:7422"}
	for says, cfg := range map[string]broker.LeafConfig{
		"Domain is empty":     {Remotes: good},
		"Domain is":           {Remotes: good, Domain: "a b"},
		"--proxy":             {Domain: "d"},
		"scheme":              {Domain: "d", Remotes: []string{"http://127.0.0.1"}},
		"no host":             {Domain: "d", Remotes: []string{"nats-leaf://:7422"}},
		"no URL":              {Domain: "d", Remotes: []string{"nats-leaf://u:secret@a b"}},
		"Prefix is \"a.b\"":   {Domain: "d", Remotes: good, Prefix: "a.b"},
		"at most 16":          {Domain: "d", Remotes: good, Prefix: strings.Repeat("a", 17)},
		"CredsFile":           {Domain: "d", Remotes: good, CredsFile: "/nowhere/at.all"},
		"Name \"x y\"":        {Domain: "d", Remotes: good, Name: "x y"},
		"MaxPayload":          {Domain: "d", Remotes: good, MaxPayload: -5},
		"Port is -7: use 1 t": {Domain: "d", Remotes: good, Port: -7},
	} {
		if cfg.Port == 0 {
			cfg.Port = -1
		}
		_, err := broker.NewLeaf(cfg)
		wantError(t, err, broker.ErrConfig, says)
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%v shows the password", err)
		}
	}
}

// leafPort is the port of a leaf URL, to start the next broker at.
func leafPort(t *testing.T, text string) int {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
