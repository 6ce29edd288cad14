package view

import (
	"math"
	"time"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/report"
)

// What is counted of a route.
const (
	handled     = iota
	failed      // of the handled
	expired     // budget used up at the target
	busy        // refused at the target
	malformed   // at the target
	waited      // microseconds before the handler, summed
	worked      // microseconds in it, summed
	sent        // at the sender
	timedOut    // requests of the sender
	stopped     // requests of the sender that nobody took
	undelivered // sends that nobody took
	stored      // not counted: how many are stored at the end of the step
	kinds
)

// counts by kind.
type counts [kinds]uint64

// add adds what came meanwhile.
func (c *counts) add(more *counts) {
	for i := range more {
		if i != stored {
			c[i] += more[i]
		}
	}
}

// since is what came after before, all of it when one of them fell.
func (c counts) since(before *counts) (more counts, fell bool) {
	for i := range c {
		if c[i] < before[i] {
			return c, true
		}
		more[i] = c[i] - before[i]
	}
	return more, false
}

// traffic says that there was any.
func (c *counts) traffic() bool {
	for i, n := range c {
		if n > 0 && i != stored {
			return true
		}
	}
	return false
}

// busyness is how many messages there were, seen from either end.
func (c *counts) busyness() uint64 { return max(c[handled]+c[busy]+c[malformed], c[sent], c.lost()) }

// late is how many ran out of time: the target and the sender may both have counted the same message.
func (c *counts) late() uint64 { return max(c[expired], c[timedOut]) }

// lost is how many nobody took.
func (c *counts) lost() uint64 { return c[stopped] + c[undelivered] }

func (c *counts) errorShare() float64 { return share(c[failed], c[handled]) }

func share(part, of uint64) float64 {
	if of == 0 {
		return 0
	}
	return round(min(1, float64(part)/float64(of)))
}

// flow is what the REST interface tells of it. The rate is set by the caller, who knows the time that it took.
func (c *counts) flow(p percentiles) api.Flow {
	f := api.Flow{
		Errors: c.errorShare(), P50: milliseconds(p[0]), P95: milliseconds(p[1]), P99: milliseconds(p[2]),
		Handled: c[handled], Failed: min(c[failed], c[handled]), Timeouts: c.late(), Busy: c[busy], Malformed: c[malformed], Undelivered: c.lost(),
	}
	if c[handled] > 0 {
		f.Wait = round(float64(c[waited]) / float64(c[handled]) / 1000)
		f.Work = round(float64(c[worked]) / float64(c[handled]) / 1000)
	}
	return f
}

// percentiles are the p50, p95 and p99.
type percentiles [3]time.Duration

func percentilesOf(h report.Histogram) (p percentiles) {
	for i, share := range [...]float64{0.5, 0.95, 0.99} {
		p[i] = h.Quantile(share)
	}
	return p
}

func milliseconds(d time.Duration) float64 { return round(float64(d) / float64(time.Millisecond)) }

// round leaves what a person can make sense of.
func round(x float64) float64 { return math.Round(x*10000) / 10000 }

// inOf and outOf are the counts of one route in a beat, with the sums in microseconds.
func inOf(r *report.In) counts {
	return counts{
		handled: r.Handled, failed: r.Errors, expired: r.Timeouts, busy: r.Busy, malformed: r.Malformed,
		waited: r.Wait / 1000, worked: r.Work / 1000,
	}
}

func outOf(r *report.Out) counts {
	return counts{sent: r.Sent, timedOut: r.Timeouts, stopped: r.Stopped, undelivered: r.Undelivered}
}
