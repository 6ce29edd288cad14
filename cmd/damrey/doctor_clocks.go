package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/bucket"
)

// Clocks that differ by more than this many seconds: delayed messages and traces are wrong by it, leases are at risk.
const (
	skewWarned = 1.0
	skewFailed = 5.0
)

// checkClocks compares the broker's clock with this machine's, and those of instances and agents with their proxy's.
func checkClocks(ctx context.Context, d *doctor) ([]finding, error) {
	var found []finding
	if skew, ok := d.brokerSkew(ctx); ok {
		found = append(found, skewed("the broker, to this machine", skew)...)
	}
	list, err := d.client.Instances(ctx)
	if refused, ok := errors.AsType[*api.Error](err); ok && refused.Status == http.StatusNotFound || d.fabric == nil {
		return found, nil // that proxy keeps no view, or there is none, which was said
	}
	if err != nil {
		return found, err
	}
	agents, err := d.client.Agents(ctx)
	if err != nil {
		return found, err
	}
	worst := make(map[string]float64) // by machine
	note := func(host, state string, skew float64) {
		if state != "left" && state != "lost" && math.Abs(skew) > math.Abs(worst[host]) {
			worst[host] = skew
		}
	}
	for _, i := range list.Instances {
		note(i.Host, i.State, i.Skew)
	}
	for _, a := range agents.Agents {
		note(a.Host, a.State, a.Skew)
	}
	for _, host := range sortedKeys(worst) {
		found = append(found, skewed("machine "+orDash(host)+", to the proxy", worst[host])...)
	}
	return found, nil
}

func skewed(where string, seconds float64) []finding {
	f := finding{Severity: warning, Where: where, What: fmt.Sprintf("its clock is %+.1f s off", seconds), Do: "timedatectl set-ntp true", Hint: "there"}
	switch off := math.Abs(seconds); {
	case off < skewWarned:
		return nil
	case off >= skewFailed:
		f.Severity = failure
	}
	return []finding{f}
}

// brokerSkew is what the broker's clock shows beyond ours, in seconds.
func (d *doctor) brokerSkew(ctx context.Context) (float64, bool) {
	if d.js == nil {
		return 0, false
	}
	ctx, cancel := context.WithTimeout(ctx, doctorAnswer)
	defer cancel()
	asked := time.Now()
	stream, err := d.js.Stream(ctx, "KV_"+bucket.Name(d.prefix))
	if err != nil {
		return 0, false // checkStores says so
	}
	at := stream.CachedInfo().TimeStamp
	return at.Sub(asked.Add(time.Since(asked) / 2)).Seconds(), !at.IsZero()
}
