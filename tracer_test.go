package damrey

import (
	"fmt"
	"testing"
	"time"
)

// What fails all the time does not hide what failed once.
func TestTracer_KeepsTheFirstOfEachRouteAndOutcome(t *testing.T) {
	t.Parallel()
	l := &link{count: new(counters)}
	tr := &tracer{l: l, spare: allowance{each: spareSpans}}
	now := time.Unix(1_000, 0)
	storm, rare := leg{from: "a", typ: "x", to: "b"}, leg{from: "a", typ: "y", to: "b"}
	kept := 0
	for range 1000 {
		if tr.spares(now, storm, "error") {
			kept++
		}
	}
	if kept != spareSpans+1 {
		t.Errorf("%d are kept of a storm", kept)
	}
	if !tr.spares(now, rare, "error") || !tr.spares(now, storm, "timeout") || tr.spares(now, rare, "error") {
		t.Error("the first of another route or outcome is left out, or the second is not")
	}
	for i := range 2 * spareKinds {
		tr.spares(now, leg{from: "a", typ: fmt.Sprint(i), to: "b"}, "error")
	}
	if n := len(tr.firsts.seen); n != spareKinds {
		t.Errorf("%d kinds are remembered", n)
	}
	if left := l.count.spansLeftOut.Load(); left != 1000-spareSpans-1+1+2*spareKinds-(spareKinds-3) {
		t.Errorf("%d are counted as left out", left)
	}
	if !tr.spares(now.Add(time.Second), rare, "error") {
		t.Error("nor in the next second")
	}
}
