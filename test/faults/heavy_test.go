//go:build linux

package faults

import "testing"

// heavy are the faults that take their time.
var heavy = []struct {
	name string
	run  func(*testing.T)
}{
	{"FreezeAgent", faultFreezeAgent},
	{"FreezeInstance", faultFreezeInstance},
	{"MoveBetweenAgents", faultMoveBetweenAgents},
	{"TwoHundredAgents", faultTwoHundredAgents},
	{"QueueFullOfShortMessages", faultQueueFullOfShortMessages},
	{"ProxyGoneForAMinute", faultProxyGoneForAMinute},
	{"RouteChangeDuringRestart", faultRouteChangeDuringRestart},
	{"SendsWhileTheUplinkBreaks", faultSendsWhileTheUplinkBreaks},
	{"BitFlipped", faultBitFlipped},
	{"DelayLeafLink", faultDelayLeafLink},
	{"FreezeLeafLink", faultFreezeLeafLink},
	{"ClientLink", faultClientLink},
}

// TestFault_All runs the heavy faults when they were asked for. Those that were
// not have no test at all, and stand in the summary.
func TestFault_All(t *testing.T) {
	for _, f := range heavy {
		if *all {
			t.Run(f.name, f.run)
		} else {
			summary.leave(f.name)
		}
	}
}
