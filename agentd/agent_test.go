package agentd_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.uber.org/goleak"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/agentd"
	"github.com/damrey/damrey/internal/report"
	"github.com/damrey/damrey/internal/view"
)

func TestAgent_RoutesForProgramsWithoutTheLibrary(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.register("entry", "add", "add")
	h.register("add", "", "")
	x := start(t, h.config("one", t.TempDir()))
	x.fresh()
	x.worker("add")
	eventually(t, "the route works", func() bool { return x.ask("entry", "add") == `["RESPONSE","add","add"]` })

	h.register("other", "", "")
	x.worker("other")
	h.register("entry", "add", "other")
	eventually(t, "the route points elsewhere", func() bool { return x.ask("entry", "add") == `["RESPONSE","add","other"]` })
}

func TestAgent_NeverSeesTheOutputOfAnotherMachine(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.register("entry", "add", "add")
	h.register("add", "", "")
	one, two := start(t, h.config("one", t.TempDir())), start(t, h.config("two", t.TempDir()))
	one.fresh()
	two.fresh()
	two.worker("add") // so that the line between them is in use
	const n = 100
	eventually(t, "the worker is reached from the other machine", func() bool { return one.ask("entry", "add") == `["RESPONSE","add","add"]` })
	before := one.agent.Info().Bridge.Received
	for range n {
		if got := one.ask("entry", "add"); got != `["RESPONSE","add","add"]` {
			t.Fatal(got)
		}
	}
	if got := one.agent.Info().Bridge.Received - before; got != n {
		t.Errorf("the bridge of the machine took %d of %d", got, n)
	}
	if got := two.agent.Info().Bridge.Received; got != 0 {
		t.Errorf("the other one's took %d", got)
	}
}

func TestAgent_AnswersRows(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.register("entry", "add", "add")
	x := start(t, h.config("one", t.TempDir()))
	x.fresh()
	row := x.row("entry")
	var reg damrey.Registration
	must(t, json.Unmarshal(row.Row, &reg))
	if !row.Found || row.Stale || row.Revision == 0 || reg.Commands[0].Worker != "add" {
		t.Errorf("%+v: %s", row, row.Row)
	}
	if row := x.row("nobody"); row.Found || row.Stale {
		t.Errorf("%+v", row)
	}
}

// row asks the agent as an instance does.
func (x *machine) row(worker string) damrey.LocalRow {
	x.t.Helper()
	m, err := x.user.Request(damrey.LocalRowSubject("damrey", worker), nil, patience)
	must(x.t, err)
	var row damrey.LocalRow
	must(x.t, json.Unmarshal(m.Data, &row))
	return row
}

func TestAgent_AnswersOnlyToInboxes(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.register("entry", "add", "add")
	log := &logs{}
	cfg := h.config("one", t.TempDir())
	cfg.ReplyPrefixes, cfg.Log = []string{"mine."}, log.logger()
	x := start(t, cfg)
	x.fresh()
	before, revision, err := h.client.Worker(t.Context(), "entry")
	must(t, err)

	question := damrey.LocalRowSubject("damrey", "entry")
	for range 3 {
		must(t, x.user.PublishRequest(question, "$KV.damrey_workers.entry", nil))
		must(t, x.user.PublishRequest("damrey.local.agent", "$KV.damrey_workers.entry", nil))
	}
	allowed, err := x.user.SubscribeSync("mine.box")
	must(t, err)
	must(t, x.user.PublishRequest(question, "mine.box", nil))
	if _, err := allowed.NextMsg(patience); err != nil {
		t.Errorf("a prefix that was allowed: %v", err)
	}
	eventually(t, "all are counted", func() bool { return x.agent.Info().Refused == 6 })
	after, now, err := h.client.Worker(t.Context(), "entry")
	must(t, err)
	if now != revision || after.Commands[0].Worker != before.Commands[0].Worker {
		t.Errorf("the table was written: revision %d, then %d", revision, now)
	}
	if n := log.count("is no inbox"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

func TestTrap_ThroughAReplySubjectOfServiceDiscoveryNobodyWritesTheTable(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.register("entry", "add", "add")
	x := start(t, h.config("one", t.TempDir()))
	x.fresh()
	before, revision, err := h.client.Worker(t.Context(), "entry")
	must(t, err)
	m, err := x.user.Request("$SRV.PING.damrey-agent", nil, patience)
	must(t, err)
	var ping micro.Ping
	must(t, json.Unmarshal(m.Data, &ping))
	for _, verb := range []string{"PING", "INFO", "STATS"} {
		for _, whom := range []string{"", ".damrey-agent", ".damrey-agent." + ping.ID} {
			must(t, x.user.PublishRequest("$SRV."+verb+whom, "$KV.damrey_workers.entry", nil))
			_, err := x.user.Request("$SRV."+verb+whom, nil, patience) // is handled after it
			must(t, err)
		}
	}
	_, err = x.user.Request("$KV.damrey_workers.later", []byte(`{"name":"later"}`), patience) // is stored after what they wrote
	must(t, err)
	after, now, err := h.client.Worker(t.Context(), "entry")
	must(t, err)
	if now != revision || after.Commands[0].Worker != before.Commands[0].Worker {
		t.Errorf("the table was written: revision %d, then %d", revision, now)
	}
	eventually(t, "all are counted", func() bool { return x.agent.Info().Refused == 9 })
}

func TestAgent_IsAService(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.register("entry", "add", "add")
	x := start(t, h.config("10.1.2.3:8080", t.TempDir()))
	x.fresh()
	_ = x.ask("entry", "add")
	m, err := x.user.Request("$SRV.STATS.damrey-agent", nil, patience)
	must(t, err)
	var stats micro.Stats
	must(t, json.Unmarshal(m.Data, &stats))
	if stats.Metadata["fabric"] != "damrey" || stats.Metadata["agent"] != "10.1.2.3:8080" {
		t.Errorf("%v", stats.Metadata)
	}
	var info agentd.Info
	must(t, json.Unmarshal(stats.Endpoints[0].Data, &info))
	if !info.Uplink || info.Stale || info.Rows != 1 || !info.Held || info.Goroutines == 0 || info.Bridge.Received != 1 {
		t.Errorf("%+v", info)
	}
	m, err = x.user.Request("damrey.local.agent", nil, patience)
	must(t, err)
	var direct agentd.Info
	must(t, json.Unmarshal(m.Data, &direct))
	if direct.Name != "10.1.2.3:8080" {
		t.Errorf("%+v", direct)
	}
	eventually(t, "the question is counted", func() bool {
		m, err := x.user.Request("$SRV.STATS.damrey-agent."+stats.ID, nil, patience)
		must(t, err)
		must(t, json.Unmarshal(m.Data, &stats))
		return stats.Endpoints[0].NumRequests == 1
	})
	told := stats.Endpoints[0]
	if told.Name != "default" || told.Subject != "damrey.local.agent" || told.QueueGroup != "" || told.NumErrors != 0 ||
		told.ProcessingTime <= 0 || told.AverageProcessingTime != told.ProcessingTime || stats.Started.IsZero() {
		t.Errorf("%+v", told)
	}
	bridge := stats.Endpoints[1]
	if bridge.Name != "bridge" || bridge.NumRequests != 1 || bridge.NumErrors != 0 || bridge.ProcessingTime <= 0 || bridge.LastError != "" {
		t.Errorf("%+v", bridge)
	}
	m, err = x.user.Request("$SRV.INFO.damrey-agent", nil, patience)
	must(t, err)
	const endpoints = `"endpoints":[{"name":"default","subject":"damrey.local.agent","queue_group":"","metadata":null},` +
		`{"name":"bridge","subject":"damrey.out.*.*","queue_group":"damrey_bridge","metadata":null}]`
	if !strings.Contains(string(m.Data), endpoints) {
		t.Errorf("%s", m.Data)
	}
}

// The beat of an agent crosses its leaf link.
func TestAgent_SendsBeatsToTheBroker(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.register("entry", "add", "add")
	heard := make(chan *nats.Msg, 100)
	nc, err := nats.Connect(h.proxyCfg.NATSURLs[0])
	must(t, err)
	defer nc.Close()
	_, err = nc.ChanSubscribe("damrey.beat.damrey-agent.*", heard)
	must(t, err)
	must(t, nc.Flush())
	x := start(t, h.config("10.1.2.3:8080", t.TempDir()))
	x.fresh()
	_ = x.ask("entry", "add")
	end := time.After(patience)
	for {
		select {
		case m := <-heard:
			b, err := new(view.Parser).Parse(report.AgentWorker, m.Subject[strings.LastIndexByte(m.Subject, '.')+1:], m.Data)
			must(t, err)
			if b.State != report.Ready || b.Name != "10.1.2.3:8080" || b.PID == 0 || b.Started.IsZero() {
				t.Fatalf("%s", m.Data)
			}
			if len(b.Out) == 1 && b.Out[0].From == "entry" && b.Out[0].Type == "add" && b.Out[0].To == "add" && b.Out[0].Sent == 1 {
				return
			}
		case <-end:
			t.Fatal("no beat tells of what the bridge passed on")
		}
	}
}

func TestAgent_RunsOnce(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	x := start(t, h.config("one", t.TempDir()))
	if err := x.agent.Run(t.Context()); !errors.Is(err, agentd.ErrAlreadyRun) {
		t.Errorf("got %v", err)
	}
}

// Not parallel: it looks at all goroutines of the process.
func TestAgent_LeavesNothingBehind(t *testing.T) {
	h := newHub(t)
	h.settle()
	before := goleak.IgnoreCurrent()
	m, err := agentd.Join(t.Context(), h.config("one", t.TempDir()))
	must(t, err)
	b, err := nats.Connect(h.proxyCfg.NATSURLs[0])
	must(t, err)
	a := agentd.New(b, m, agentd.Config{Renew: 10 * time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	await(t, "agent", a.Ready())
	eventually(t, "not stale", func() bool { return !a.Stale() })
	cancel()
	must(t, <-done)
	list, err := h.client.Agents(t.Context())
	must(t, err)
	if len(list.Agents) != 0 {
		t.Errorf("the name is still claimed: %+v", list.Agents)
	}
	must(t, m.Close())
	b.Close()
	h.client.Close()
	goleak.VerifyNone(t, before)
}
