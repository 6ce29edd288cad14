package damrey

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const patienceInTests = 20 * time.Second

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.Now().Add(patienceInTests)
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("never came true: %s", what)
		}
		time.Sleep(100 * time.Microsecond)
	}
}

func noBacklog() int { return 0 }

func (d *dispatcher) mustSubmit(t *testing.T, cost int) {
	t.Helper()
	if d.submit(ofCost(cost, 1)) != 1 {
		t.Fatal("refused")
	}
}

func ofCost(cost, n int) []inbound {
	all := make([]inbound, n)
	for i := range all {
		all[i].envelope = &envelope{cost: int32(cost)}
	}
	return all
}

func runningIs(d *dispatcher, want int) func() bool {
	return func() bool { running, _ := d.load(); return running == want }
}

func TestDispatcher_ASlowHandlerHoldsNobodyBack(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	d := newDispatcher(100, 10, func(_ *inbound, _ moment) moment { <-release; return 0 }, noBacklog)
	for n := range 20 {
		d.mustSubmit(t, 1)
		waitFor(t, "every message is started", runningIs(d, n+1))
	}
	for range 30 {
		d.mustSubmit(t, 1)
	}
	waitFor(t, "those that came together too", runningIs(d, 50))
	close(release)
	<-d.drained()
	d.dismiss()
}

func TestDispatcher_NeverRunsMoreThanItsCapacity(t *testing.T) {
	t.Parallel()
	var running, most atomic.Int64
	d := newDispatcher(7, 10000, func(m *inbound, _ moment) moment {
		now := running.Add(int64(m.cost))
		for {
			seen := most.Load()
			if now <= seen || most.CompareAndSwap(seen, now) {
				break
			}
		}
		time.Sleep(10 * time.Microsecond)
		running.Add(-int64(m.cost))
		return 0
	}, noBacklog)
	for i := range 3000 {
		d.mustSubmit(t, 1+i%3)
	}
	<-d.drained()
	if most.Load() > 7 {
		t.Errorf("%d units ran at once, 7 are the most", most.Load())
	}
	d.dismiss()
}

func TestDispatcher_AMessageLargerThanAllRunsAlone(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	d := newDispatcher(3, 10, func(_ *inbound, _ moment) moment { <-release; return 0 }, noBacklog)
	d.mustSubmit(t, 1)
	waitFor(t, "the first runs", runningIs(d, 1))
	d.mustSubmit(t, 1000)
	d.mustSubmit(t, 1)
	if running, queued := d.load(); running != 1 || queued != 2 {
		t.Errorf("running %d, queued %d", running, queued)
	}
	close(release)
	<-d.drained()
	d.dismiss()
}

// What is worth asking for goes by what messages cost.
func TestDispatcher_FreeRoom(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		capacity, running, expected int
		came                        []int // what the last messages cost
		want                        int
	}{
		"nothing is known":            {capacity: 100, want: 1},
		"cheap":                       {capacity: 100, came: []int{1}, want: 100},
		"costly":                      {capacity: 100, came: []int{50}, want: 2},
		"the largest counts":          {capacity: 100, came: []int{1, 30, 1}, want: 3},
		"one runs":                    {capacity: 100, running: 30, came: []int{30}, want: 2},
		"all is taken":                {capacity: 3, running: 3, came: []int{3}, want: 0},
		"none of them could run":      {capacity: 100, running: 80, came: []int{40}, want: 0},
		"a cheap one could run":       {capacity: 100, running: 60, came: []int{60, 1}, want: 1},
		"and is expected":             {capacity: 100, running: 60, expected: 1, came: []int{60, 1}, want: 0},
		"what is expected counts":     {capacity: 100, expected: 1, came: []int{30}, want: 2},
		"less than a share":           {capacity: 100, expected: 80, came: []int{1}, want: 0},
		"more than all runs alone":    {capacity: 3, came: []int{1000}, want: 1},
		"and nothing beside it":       {capacity: 3, running: 1000, came: []int{1000}, want: 0},
		"what was costly long ago":    {capacity: 100, came: append([]int{50}, slices.Repeat([]int{1}, 2*lately)...), want: 100},
		"what was costly a while ago": {capacity: 100, came: append([]int{50}, slices.Repeat([]int{1}, lately)...), want: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			release := make(chan struct{})
			d := newDispatcher(c.capacity, 10, func(*inbound, moment) moment { <-release; return 0 }, noBacklog)
			for _, cost := range c.came {
				d.came(0, cost)
			}
			if c.running > 0 {
				d.mustSubmit(t, c.running)
			}
			d.expect(c.expected)
			if got := d.free(); got != c.want {
				t.Errorf("%d messages are asked for, want %d", got, c.want)
			}
			close(release)
			<-d.drained()
			d.came(c.expected, 0)
			if got := d.free(); got < c.want {
				t.Errorf("%d messages are asked for when all is done, which is less than %d", got, c.want)
			}
			d.dismiss()
		})
	}
}

func TestDispatcher_CapacityIsLive(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	d := newDispatcher(1, 10, func(_ *inbound, _ moment) moment { <-release; return 0 }, noBacklog)
	for range 5 {
		d.mustSubmit(t, 1)
	}
	waitFor(t, "one runs", runningIs(d, 1))
	d.resize(5)
	waitFor(t, "all run", runningIs(d, 5))
	close(release)
	<-d.drained()
	d.dismiss()
}

func TestDispatcher_RefusesPastTheQueue(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	d := newDispatcher(1, 3, func(_ *inbound, _ moment) moment { <-release; return 0 }, noBacklog)
	d.mustSubmit(t, 1)
	waitFor(t, "one runs", runningIs(d, 1))
	for range 3 {
		d.mustSubmit(t, 1)
	}
	for range 5 {
		if d.submit(ofCost(1, 1)) != 0 {
			t.Fatal("took a message past the queue")
		}
	}
	close(release)
	<-d.drained()
	d.mustSubmit(t, 1)
	<-d.drained()
	d.dismiss()
}

func TestDispatcher_TakesOfABatchWhatHasRoom(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var ran atomic.Int64
	d := newDispatcher(1, 3, func(_ *inbound, _ moment) moment { <-release; ran.Add(1); return 0 }, noBacklog)
	d.mustSubmit(t, 1)
	waitFor(t, "one runs", runningIs(d, 1))
	if taken := d.submit(ofCost(1, 5)); taken != 3 {
		t.Fatalf("took %d of 5 with room for 3", taken)
	}
	close(release)
	<-d.drained()
	if ran.Load() != 4 {
		t.Fatalf("%d ran, 4 were taken", ran.Load())
	}
	d.dismiss()
}

func TestDispatcher_ABatchFillsAnEmptyQueue(t *testing.T) {
	t.Parallel()
	var ran atomic.Int64
	d := newDispatcher(1, 3, func(_ *inbound, _ moment) moment { ran.Add(1); return 0 }, noBacklog)
	if taken := d.submit(ofCost(1, 500)); taken != 500 {
		t.Fatalf("took %d of 500 that are worked off at once", taken)
	}
	<-d.drained()
	if ran.Load() != 500 {
		t.Fatalf("%d of 500 ran", ran.Load())
	}
	d.dismiss()
}

func TestDispatcher_QuickHandlersRunInOrder(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []int
	d := newDispatcher(1, 5000, func(m *inbound, _ moment) moment { mu.Lock(); got = append(got, int(m.hops)); mu.Unlock(); return 0 }, noBacklog)
	for i := 0; i < 5000; i += 50 {
		all := ofCost(1, 50)
		for k := range all {
			all[k].hops = int32(i + k)
		}
		if d.submit(all) != 50 {
			t.Fatal("refused")
		}
	}
	<-d.drained()
	for i, n := range got {
		if i != n {
			t.Fatalf("message %d ran in place of %d", n, i)
		}
	}
	d.dismiss()
}

func TestDispatcher_IsBusyThoughHandlersReturnNowAndThen(t *testing.T) {
	t.Parallel()
	d := newDispatcher(1, 8, func(_ *inbound, _ moment) moment { time.Sleep(burst / 4); return 0 }, noBacklog)
	for d.submit(ofCost(1, 1)) == 1 {
	}
	<-d.drained()
	if d.submit(ofCost(1, 1)) == 0 {
		t.Error("still busy when all is done")
	}
	<-d.drained()
	d.dismiss()
}
