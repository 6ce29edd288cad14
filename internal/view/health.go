package view

import (
	"fmt"

	"github.com/damrey/damrey/internal/api"
)

// From these shares on, something is degraded or failing.
const (
	someErrors = 0.05
	mostErrors = 0.5
	fullBound  = 0.6
)

// judge says how a worker is, and what is wrong.
func (n *node) judge() (api.Health, string) {
	switch {
	case n.used && !n.Registered && (n.missed || n.Rate > 0 || n.traffic()):
		return api.HealthFailing, "messages are sent to it, and it is not registered"
	case n.Registered && !n.heard && !n.reached && !n.sends && !n.missed && n.early:
		return api.HealthUnknown, "not heard of yet"
	case n.used && n.Registered && n.Ready == 0 && (n.heard || !n.reached):
		return api.HealthFailing, n.nobody()
	case n.missed:
		return api.HealthFailing, "nobody took some of the messages to it"
	}
	if health, why := judgeCounts(&n.counts); health != "" {
		return health, why
	}
	switch {
	case n.Paused:
		return api.HealthDegraded, "it is paused"
	case n.overfull > fullBound:
		return api.HealthDegraded, fmt.Sprintf("what is stored for it fills %.0f %% of its limit", 100*n.overfull)
	case n.Rate == 0 && !n.traffic() && !n.reached && !n.sends:
		return api.HealthIdle, ""
	}
	return api.HealthOK, ""
}

// nobody says why no instance takes messages.
func (n *node) nobody() string {
	switch {
	case n.Instances == 0 && n.heard:
		return "routes lead to it, and it has no instance any more"
	case n.Instances == 0:
		return "routes lead to it, and it has no instance"
	case n.standby == n.Instances:
		return fmt.Sprintf("no instance is at agent %s, %s elsewhere stand by", n.Agent, instances(n.standby))
	case n.waiting == n.Instances:
		return fmt.Sprintf("no instance is ready; %s wait until messages reach them", instances(n.waiting))
	}
	return fmt.Sprintf("no instance of %d is ready", n.Instances)
}

func instances(n int) string {
	if n == 1 {
		return "1 instance"
	}
	return fmt.Sprintf("%d instances", n)
}

// judge says how a route is, and what is wrong.
func (e *edge) judge(to *node) (api.Health, string) {
	switch {
	case e.lost() > 0:
		return api.HealthFailing, fmt.Sprintf("nobody took %s in the last %.0f s", messages(e.lost()), window.Seconds())
	case e.missed != "":
		return api.HealthFailing, "messages were not delivered: " + e.missed
	case e.Declared && !to.Registered:
		return api.HealthFailing, fmt.Sprintf("worker %s is not registered", e.To)
	case e.Declared && to.Health == api.HealthFailing && to.Ready == 0:
		return api.HealthFailing, fmt.Sprintf("%s: %s", e.To, to.Why)
	}
	if health, why := judgeCounts(&e.counts); health != "" {
		return health, why
	}
	switch {
	case e.Declared && to.Health == api.HealthUnknown && !e.traffic():
		return api.HealthUnknown, fmt.Sprintf("%s: %s", e.To, to.Why)
	case e.Paused:
		return api.HealthDegraded, "it is paused"
	case to.Paused:
		return api.HealthDegraded, fmt.Sprintf("worker %s is paused", e.To)
	case e.Durable != nil && e.Durable.Fill > fullBound:
		return api.HealthDegraded, fmt.Sprintf("what is stored fills %.0f %% of the limit of %s", 100*e.Durable.Fill, e.To)
	case e.Rate == 0 && !e.traffic():
		return api.HealthIdle, ""
	}
	return api.HealthOK, ""
}

// judgeCounts says what is wrong with what went by; nothing when all is well.
func judgeCounts(c *counts) (api.Health, string) {
	share := c.errorShare()
	switch {
	case share > mostErrors:
		return api.HealthFailing, fmt.Sprintf("%.0f %% of the messages fail", 100*share)
	case share > someErrors:
		return api.HealthDegraded, fmt.Sprintf("%.0f %% of the messages fail", 100*share)
	case c.late() > 0:
		return api.HealthDegraded, messages(c.late()) + " ran out of time"
	case c[busy] > 0:
		return api.HealthDegraded, messages(c[busy]) + " refused, since the queue was full"
	case c[malformed] > 0:
		return api.HealthDegraded, messages(c[malformed]) + " could not be read"
	}
	return "", ""
}

func messages(n uint64) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", n)
}
