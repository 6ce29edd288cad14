//go:build linux

package faults

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/damrey/damrey/agentd"
	"github.com/damrey/damrey/test/faults/tell"
)

// What a process may hold more than before a fault. Goroutines and descriptors:
// those of connections that are about to be closed; a daemon has three or four
// goroutines for each. A worker also keeps up to 16 for the next messages.
const (
	moreGoroutines = 12
	moreRunners    = moreGoroutines + 16
	moreFiles      = 4
)

// moreHeap is what a worker's process may hold more: buffers that are kept for the
// next messages. This process also has the ledgers, with a channel for half of the
// requests.
const (
	moreHeap = 8 << 20
	moreHere = 16 << 20
)

// moreResident is the same for a daemon, which cannot be made to collect: with
// what is free in it and not yet given back. It is the memory that is no file's,
// as the pages of the program come in one by one all the time.
const moreResident = 24 << 20

// leavesNothing checks at the end of the test that this process has the
// goroutines and the memory that it had.
func leavesNothing(t testing.TB) {
	goroutines, before := goleak.IgnoreCurrent(), tell.Heap()
	t.Cleanup(func() {
		goleak.VerifyNone(t, goroutines)
		if now := tell.Heap(); now > before+moreHere {
			t.Errorf("the test's process holds %d KiB more than before", (now-before)>>10)
		}
	})
}

// usage is what processes held before the fault.
type usage struct {
	s     *site
	first []*holding
}

// holding is how much of one thing a process has.
type holding struct {
	process     *process
	what        string
	more        int // than before, that it may have
	count       func() int
	before, now int
}

// usage looks at all processes of the site that run, when they are warm. A
// process that is started again is held to what it had before.
func (s *site) usage() *usage {
	s.t.Helper()
	u := &usage{s: s}
	for _, p := range s.processes {
		if !p.runs() {
			continue
		}
		if p.tells {
			u.add(p, "goroutines", moreRunners, p.goroutines)
			u.add(p, "KiB heap", moreHeap>>10, func() int { return int(p.stats().Heap >> 10) })
		} else {
			u.add(p, "goroutines", moreGoroutines, p.goroutines)
			u.add(p, "KiB", moreResident>>10, p.resident)
		}
		u.add(p, "files", moreFiles, p.files)
	}
	return u
}

func (u *usage) add(p *process, what string, more int, count func() int) {
	u.first = append(u.first, &holding{process: p, what: what, more: more, count: count, before: count()})
}

// returns waits until all is as it was, and enters it in the summary. What was
// ended for good is not looked at.
func (u *usage) returns() {
	u.s.t.Helper()
	u.s.returned = true
	var parts []string
	var last *process
	defer func() { summary.hold(fault(u.s.t), strings.Join(parts, "; ")) }()
	for _, h := range u.first {
		if !h.process.runs() {
			continue
		}
		if h.process != last {
			last = h.process
			parts = append(parts, last.name+":")
		}
		h.returns(u.s.t)
		parts[len(parts)-1] += fmt.Sprintf(" %d→%d %s", h.before, h.now, h.what)
	}
}

func (h *holding) returns(t testing.TB) {
	t.Helper()
	defer func() { t.Logf("%s: %d %s before, %d after", h.process.name, h.before, h.what, h.now) }()
	eventually(t, h.process.name+" has as many "+h.what+" as before", func() bool { h.now = h.count(); return h.now <= h.before+h.more })
}

// runs tells whether it was started and has not ended.
func (p *process) runs() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// resident is its memory in KiB, without that of files.
func (p *process) resident() int {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	must(p.t, err)
	return number(p.t, status, "RssAnon:")
}

// number is the one that follows a name at the beginning of a line.
func number(t testing.TB, text []byte, name string) int {
	t.Helper()
	for line := range bytes.Lines(text) {
		fields := strings.Fields(string(line))
		if len(fields) > 1 && fields[0] == name {
			n, err := strconv.Atoi(fields[1])
			must(t, err)
			return n
		}
	}
	t.Fatalf("no %s in\n%s", name, text)
	return 0
}

// metricsGoroutines asks a proxy. Its connection is not kept, so that it is not
// counted.
func metricsGoroutines(t testing.TB, rest string) int {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	r, err := client.Get("http://" + rest + "/metrics")
	must(t, err)
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	must(t, err)
	return number(t, text, "go_goroutines")
}

// info asks an agent about itself.
func (a *agent) info() (agentd.Info, error) {
	a.t.Helper()
	nc, err := nats.Connect(a.url(), nats.Timeout(patience))
	if err != nil {
		return agentd.Info{}, err
	}
	defer nc.Close()
	m, err := nc.Request("damrey.local.agent", nil, time.Second)
	if err != nil {
		return agentd.Info{}, err
	}
	var info agentd.Info
	return info, json.Unmarshal(m.Data, &info)
}
