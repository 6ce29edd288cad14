package view

import (
	"fmt"

	"github.com/damrey/damrey/internal/api"
)

// alarms are those of one worker that fire, and are true.
type alarms struct {
	n     int
	worst api.Alarm
}

// Firing is a rule and how bad it is that it fires.
type Firing struct{ Rule, Severity string }

// SetAlarms is which alarms are known now.
func (v *View) SetAlarms(all []api.Alarm) {
	firing, of := make(map[Firing]int), make(map[string]alarms)
	for i := range all {
		if all[i].State != api.AlarmFiring {
			continue
		}
		firing[Firing{all[i].Rule, all[i].Severity}]++
		a := of[all[i].Worker]
		if all[i].Cleared != nil {
			continue // the worker is what it is again
		}
		if a.n++; a.n == 1 || badness(healthOf(&all[i])) > badness(healthOf(&a.worst)) {
			a.worst = all[i]
		}
		of[all[i].Worker] = a
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.firing, v.alarms = firing, of
}

// healthOf is how a worker is at best while an alarm of it fires.
func healthOf(a *api.Alarm) api.Health {
	switch a.Severity {
	case "critical":
		return api.HealthFailing
	case "warning":
		return api.HealthDegraded
	}
	return api.HealthIdle
}

func badness(h api.Health) int {
	switch h {
	case api.HealthFailing:
		return 2
	case api.HealthDegraded:
		return 1
	}
	return 0
}

// raise makes a worker no better than its alarms. One that is not heard of yet stays so: what its alarms say is of before.
func (a alarms) raise(n *api.Node) {
	h := healthOf(&a.worst)
	if a.n == 0 || n.Health == api.HealthUnknown || badness(h) <= badness(n.Health) {
		return
	}
	n.Health, n.Why = h, fmt.Sprintf("alarm %s: %s", a.worst.Rule, a.worst.Text)
}
