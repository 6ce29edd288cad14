package proxyd

import (
	"testing"
	"time"

	"github.com/damrey/damrey/internal/alarm"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/view"
)

func TestMetrics_CountFiringAlarmsByRuleAndSeverity(t *testing.T) {
	t.Parallel()
	clock := view.StartClock()
	o := &observer{clock: clock, view: view.New(clock.Now(), view.RunName(time.Now()))}
	list := []api.Alarm{
		{Rule: "slow", Severity: "critical", State: api.AlarmFiring, Worker: "a"},
		{Rule: "slow", Severity: "critical", State: api.AlarmFiring, Worker: "b"},
		{Rule: "slow", Severity: "warning", State: api.AlarmFiring, Worker: "b"},
		{Rule: "slow", Severity: "info", State: api.AlarmPending, Worker: "b"},
		{Rule: "of another version", Severity: "critical", State: api.AlarmFiring},
		{Rule: "of a third", Severity: "fatal", State: api.AlarmFiring},
	}
	o.alarms = func() ([]api.Alarm, error) { return list, nil }
	o.tellAlarms()
	all := everyRule(o.view.Metrics(clock.Now()).Firing)
	for k, want := range map[view.Firing]int{
		{Rule: "slow", Severity: "critical"}: 2, {Rule: "slow", Severity: "warning"}: 1, {Rule: "slow", Severity: "info"}: 0,
		{Rule: "other", Severity: "critical"}: 1, {Rule: "other", Severity: "other"}: 1,
	} {
		if n, ok := all[k]; !ok || n != want {
			t.Errorf("%v: %d", k, n)
		}
	}
	if len(all) != len(alarm.Names())*len(alarm.Severities)+2 {
		t.Errorf("%d series", len(all))
	}
	if n := o.view.Network(clock.Now()).Firing; n != 5 {
		t.Errorf("%d fire in the network", n)
	}
	list = nil
	o.tellAlarms()
	if n := everyRule(o.view.Metrics(clock.Now()).Firing)[view.Firing{Rule: "slow", Severity: "critical"}]; n != 0 {
		t.Errorf("%d fire still", n)
	}
}
