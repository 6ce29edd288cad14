package agentd_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/agentd"
	"github.com/damrey/damrey/broker"
	"github.com/damrey/damrey/internal/api"
)

// quick is a config with short renewals.
func (h *hub) quick(name, dir string, log *logs) agentd.Config {
	cfg := h.config(name, dir)
	cfg.Renew, cfg.Log = 20*time.Millisecond, log.logger()
	return cfg
}

func TestAgent_TellsOfTheUplink(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	x := start(t, h.config("one", t.TempDir()))
	x.fresh()
	told := make(chan string, 16)
	_, err := x.user.Subscribe(damrey.UplinkSubject("damrey"), func(m *nats.Msg) { told <- string(m.Data) })
	must(t, err)
	must(t, x.user.Flush())
	expect := func(want string) {
		t.Helper()
		for end := time.After(patience); ; {
			select {
			case got := <-told:
				if got == want {
					return
				}
			case <-end:
				t.Fatalf("%q was never told", want)
			}
		}
	}
	h.broker.stop()
	expect("down")
	if !x.agent.Stale() {
		t.Error("not stale without the uplink")
	}
	h.startBroker()
	expect("up")
	x.fresh()
}

func TestAgent_OutlivesTheBroker(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.register("entry", "add", "add")
	h.register("add", "", "")
	h.register("other", "", "")
	x := start(t, h.config("one", t.TempDir()))
	x.fresh()
	x.worker("add")
	x.worker("other")
	eventually(t, "the route works", func() bool { return x.ask("entry", "add") == `["RESPONSE","add","add"]` })

	h.broker.stop()
	eventually(t, "the table is stale", x.agent.Stale)
	for range 10 {
		if got := x.ask("entry", "add"); got != `["RESPONSE","add","add"]` {
			t.Fatalf("while the broker is away: %s", got)
		}
	}
	if row := x.row("entry"); !row.Found || !row.Stale {
		t.Errorf("%+v", row)
	}

	h.startBroker()
	x.fresh()
	if row := x.row("entry"); !row.Found || row.Stale {
		t.Errorf("%+v", row)
	}
	eventually(t, "the proxy has its broker again", func() bool {
		_, err := h.client.Put(t.Context(), damrey.Registration{
			Name: "entry", Commands: []damrey.Command{{Name: "add", Worker: "other"}},
		}, "")
		return err == nil
	})
	eventually(t, "the change is seen", func() bool { return x.ask("entry", "add") == `["RESPONSE","add","other"]` })
}

func TestAgent_StartsWhileTheBrokerIsAway(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	dir := saved(t, h)
	h.proxy.stop()
	h.broker.stop()

	x := start(t, h.quick("one", dir, &logs{}))
	if !x.agent.Stale() || x.agent.Info().Rows != 2 {
		t.Errorf("%+v", x.agent.Info())
	}
	if row := x.row("entry"); !row.Found || !row.Stale {
		t.Errorf("%+v", row)
	}
	x.worker("add") // becomes ready
	if got := x.ask("entry", "add"); got != `["RESPONSE","add","add"]` {
		t.Errorf("routed by the table on disk: %s", got)
	}

	h.startBroker()
	h.startProxy()
	x.fresh()
	eventually(t, "the name is renewed", func() bool { return x.agent.Info().Held })
}

func TestAgent_WithoutAnyTableSaysNothing(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	m := join(t, h.config("one", t.TempDir()))
	h.broker.stop()
	x := &machine{t: t, m: m}
	x.startLeaf()
	x.agent = agentd.New(x.nc, m, agentd.Config{Uplink: x.leaf.Watch})
	x.serve = run(t, x.agent)
	eventually(t, "the bridge works", func() bool { return strings.Contains(x.ask("entry", "add"), "no_route") })
	if _, err := x.user.Request(damrey.LocalRowSubject("damrey", "entry"), nil, patience); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("got %v", err)
	}
	select {
	case <-x.agent.Ready():
		t.Error("ready without a table")
	default:
	}
	h.startBroker()
	await(t, "agent", x.agent.Ready())
}

func TestAgent_OutlivesTheProxy(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	log := &logs{}
	x := start(t, h.quick("one", t.TempDir(), log))
	x.fresh()
	h.proxy.stop()
	eventually(t, "it says that it cannot renew", func() bool { return log.count("cannot be renewed") == 1 })
	h.startProxy()
	eventually(t, "it says that it can again", func() bool { return log.count("renewed at the proxy again") == 1 })
	x.stop()
	if n := log.count("cannot be renewed"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

func TestAgent_EndsWhenItsNameWasTaken(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	dir := t.TempDir()
	log := &logs{}
	cfg := h.quick("one", dir, log)
	x := start(t, cfg)
	id, err := os.ReadFile(filepath.Join(dir, "id"))
	must(t, err)
	eventually(t, "another takes the name", func() bool {
		if err := h.client.ReleaseAgent(t.Context(), "one", strings.TrimSpace(string(id))); err != nil {
			return false
		}
		_, err := h.client.ClaimAgent(t.Context(), "one", api.Claim{ID: "thief", Host: "elsewhere", PID: 7})
		return err == nil
	})
	await(t, "the end", x.serve.ended)
	if !errors.Is(x.serve.err, agentd.ErrNameHeld) {
		t.Errorf("got %v", x.serve.err)
	}
	says(t, x.serve.err, `"one"`, "process 7 on elsewhere", "-a")
	must(t, x.m.Close())
	// The other one keeps the name.
	if _, err := agentd.Join(t.Context(), cfg); !errors.Is(err, agentd.ErrNameHeld) {
		t.Errorf("got %v", err)
	}
}

func TestAgent_SaysThatItsDirectoryWasCopied(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	dir := t.TempDir()
	log := &logs{}
	start(t, h.quick("one", dir, log))
	id, err := os.ReadFile(filepath.Join(dir, "id"))
	must(t, err)
	_, err = h.client.ClaimAgent(t.Context(), "one", api.Claim{ID: strings.TrimSpace(string(id)), Host: "copy", PID: 7})
	must(t, err)
	eventually(t, "it says so", func() bool { return log.count("a copy of this agent's directory") == 1 })
}

func TestAgent_EndsWhenTheBrokerMoved(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	log := &logs{}
	cfg := h.quick("one", t.TempDir(), log)
	x := start(t, cfg)
	x.fresh()
	before := h.proxyCfg.LeafURLs[0]
	h.proxy.stop()
	h.broker.stop()
	h.cfg.LeafPort = -1
	h.startBroker()
	h.startProxy()
	await(t, "the end", x.serve.ended)
	if !errors.Is(x.serve.err, agentd.ErrMoved) {
		t.Errorf("got %v", x.serve.err)
	}
	says(t, x.serve.err, before, h.proxyCfg.LeafURLs[0], "start it again")
	must(t, x.m.Close())
	start(t, cfg).fresh()
}

func TestAgent_LinksToABrokerThatMoved(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	cfg := h.quick("one", t.TempDir(), &logs{})
	var leaf atomic.Pointer[broker.Leaf]
	cfg.Relink = func(urls []string) error { return leaf.Load().SetRemotes(urls) }
	x := start(t, cfg)
	leaf.Store(x.leaf)
	x.fresh()
	h.proxy.stop()
	h.broker.stop()
	h.cfg.LeafPort = -1
	h.startBroker()
	h.startProxy()
	eventually(t, "the link is up again", x.leaf.Uplink)
	x.fresh()
	select {
	case <-x.serve.ended:
		t.Errorf("the agent has ended: %v", x.serve.err)
	default:
	}
	x.stop()
}
