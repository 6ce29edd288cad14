//go:build linux

package faults

import (
	"encoding/json"
	"runtime"
	"testing"

	"go.uber.org/goleak"

	"github.com/damrey/damrey/agentd"
)

// What a process may hold more than before a fault: runners that are kept for
// the next messages, connections that are about to be closed.
const (
	moreGoroutines = 24
	moreFiles      = 8
)

// moreHeap is what a test may leave in a worker's process, or in this one: buffers
// that are kept for the next messages, what the summary holds, and what the
// collector has not looked at.
const moreHeap = 16 << 20

// leavesNothing checks at the end of the test that this process has the
// goroutines and the memory that it had.
func leavesNothing(t testing.TB) {
	goroutines, before := goleak.IgnoreCurrent(), heap()
	t.Cleanup(func() {
		goleak.VerifyNone(t, goroutines)
		if now := heap(); now > before+moreHeap {
			t.Errorf("the test's process holds %d KiB more than before", (now-before)>>10)
		}
	})
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // what had a finalizer goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// usage is what processes held before the fault.
type usage struct {
	t     testing.TB
	first []func()
}

// usage looks at workers and daemons that are warm.
func (s *site) usage(workers, daemons []*process) *usage {
	s.t.Helper()
	u := &usage{t: s.t}
	for _, p := range workers {
		u.add(p.name+"'s goroutines", moreGoroutines, func() int { return p.stats().Goroutines })
		u.add(p.name+"'s heap in KiB", moreHeap>>10, func() int { return int(p.stats().Heap >> 10) })
	}
	for _, p := range daemons {
		u.add(p.name+"'s file descriptors", moreFiles, p.files)
	}
	return u
}

func (u *usage) add(what string, more int, count func() int) {
	u.t.Helper()
	before := count()
	u.first = append(u.first, func() {
		u.t.Helper()
		var now int
		defer func() { u.t.Logf("%s: %d before, %d after", what, before, now) }()
		eventually(u.t, what+" return to where they were", func() bool { now = count(); return now <= before+more })
	})
}

// returns waits until all is as it was.
func (u *usage) returns() {
	u.t.Helper()
	for _, check := range u.first {
		check()
	}
}

func infoOf(t testing.TB, data []byte) agentd.Info {
	t.Helper()
	var info agentd.Info
	must(t, json.Unmarshal(data, &info))
	return info
}
