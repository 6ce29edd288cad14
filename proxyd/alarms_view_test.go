package proxyd

import (
	"context"
	"errors"
	"testing"
	"time"

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
