package proxyd

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/alarm"
	"github.com/damrey/damrey/internal/api"
)

// What instances report, as GET /v1/network and /v1/instances have it, is judged besides what the proxy knows by itself.
func TestAlarmFacts_TakeWhatInstancesReport(t *testing.T) {
	t.Parallel()
	var failed error
	f := &alarmFacts{
		store: &store{trouble: func() error { return nil }},
		table: func() *damrey.Table { return nil },
		network: func(context.Context) (api.Network, api.InstanceList, error) {
			return api.Network{At: time.Now(), Since: time.Now().Add(-time.Minute), Window: 15, Nodes: []api.Node{{Name: "w", Registered: true}}},
				api.InstanceList{Instances: []api.Instance{{Worker: "w", ID: "x", State: "lost"}}}, failed
		},
		daemons: func() []api.Instance { return []api.Instance{{Worker: "damrey-agent", ID: "a"}} },
	}
	facts, err := f.now(t.Context())
	if err != nil || len(facts.Nodes) != 1 || len(facts.Instances) != 1 || len(facts.Daemons) != 1 || facts.Since.IsZero() || facts.Window != 15 {
		t.Errorf("%+v, %v", facts, err)
	}
	if len(facts.Disks) != 1 || facts.Disks[0].Name != "broker" || facts.Agents != nil || facts.Replicas != nil {
		t.Errorf("before a survey: %+v", facts)
	}
	failed = errors.New("away")
	if _, err := f.now(t.Context()); !errors.Is(err, failed) {
		t.Errorf("%v", err)
	}
	f.network = nil
	if _, err := f.now(t.Context()); !errors.Is(err, errNotYet) {
		t.Errorf("without a table: %v", err)
	}
}

// A proxy that fell silent has a disk of which nothing is known for a day; then it is gone.
func TestAlarmFacts_DiskOfAProxyThatFellSilent(t *testing.T) {
	t.Parallel()
	report := record{key: diskKey + key("b"), value: []byte(`{"used":99,"total":100}`)}
	for _, c := range []struct {
		age         time.Duration
		there, dark bool
	}{{time.Minute, true, false}, {6 * time.Minute, true, true}, {23 * time.Hour, true, true}, {25 * time.Hour, false, false}} {
		disk, there := diskOf(report, c.age)
		if there != c.there || disk.Unknown != c.dark || there && (disk.Name != "b" || disk.Used != 99) {
			t.Errorf("after %v: %+v, %v", c.age, disk, there)
		}
	}
	if disk, there := diskOf(record{key: alarmTurn, value: []byte("x")}, 0); there {
		t.Errorf("%+v", disk)
	}
}

// Disks that cannot be asked for are not known, rather than gone.
func TestAlarmFacts_DisksThatCannotBeRead(t *testing.T) {
	t.Parallel()
	srv, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, NoLog: true}) // it stores nothing
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	defer srv.Shutdown()
	nc, err := nats.Connect("", nats.InProcessServer(srv))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	s, err := newStore(nc, Config{Node: "a", Replicas: 1}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	f := &alarmFacts{store: s, leases: newLeases(s, time.Second), node: "a", table: func() *damrey.Table { return &damrey.Table{} }}
	f.survey(t.Context())
	facts, err := f.now(t.Context())
	if err != nil || !facts.DisksPartly || len(facts.Disks) != 1 || facts.Disks[0].Name != "a" {
		t.Errorf("%+v, %v", facts, err)
	}
	f.disks = []alarm.Disk{}
	if facts, err := f.now(t.Context()); err != nil || facts.DisksPartly {
		t.Errorf("all are known: %+v, %v", facts, err)
	}
}

// Before it is known who watches, an empty list would say that nothing is wrong.
func TestAlarms_AreUnknownUntilSomebodyWatches(t *testing.T) {
	t.Parallel()
	a := newAlarms(&store{prefix: damrey.DefaultPrefix}, Config{}, nil)
	a.follow(t.Context())
	if list, err := a.all(); err == nil || list != nil {
		t.Errorf("%v, %v", list, err)
	}
	a.machine = alarm.NewMachine(nil)
	a.publish(time.Now())
	if list, err := a.all(); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}
