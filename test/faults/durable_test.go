//go:build linux

package faults

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/damrey/damrey"
)

// storer sends along a durable line until it is stopped.
type storer struct {
	t      *testing.T
	w      *damrey.Instance
	ending chan struct{}
	once   sync.Once
	group  sync.WaitGroup

	mu     sync.Mutex // guards what follows
	next   int
	stored []int // ids whose Send returned nil
	unsure int   // Send returned an error
	worst  time.Duration
}

const storerName = "durable"

// storer begins to send, four at a time.
func (s *site) storer(t *testing.T, w *damrey.Instance) *storer {
	x := &storer{t: t, w: w, ending: make(chan struct{})}
	t.Cleanup(x.end)
	for range 4 {
		x.group.Go(x.run)
	}
	return x
}

func (x *storer) run() {
	for {
		select {
		case <-x.ending:
			return
		default:
		}
		x.mu.Lock()
		id := x.next
		x.next++
		x.mu.Unlock()
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		err := x.w.Send(ctx, "job", fmt.Sprintf("%s.%d", storerName, id))
		cancel()
		x.mu.Lock()
		if err == nil {
			x.stored = append(x.stored, id)
		} else {
			x.t.Logf("send %d: %v", id, err)
			x.unsure++
		}
		x.worst = max(x.worst, time.Since(began))
		x.mu.Unlock()
		last(2 * time.Millisecond)
	}
}

func (x *storer) end() {
	x.once.Do(func() { close(x.ending) })
	x.group.Wait()
}

func (x *storer) count() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.stored)
}

// storedAgain waits until sends are acknowledged once more.
func (x *storer) storedAgain(after string) {
	x.t.Helper()
	before := x.count()
	began := time.Now()
	eventually(x.t, "messages are stored after "+after, func() bool { return x.count() > before+20 })
	x.t.Logf("%s: stored again after %v", after, time.Since(began).Round(time.Millisecond))
}

// What is stored is handled at the end of its line, whatever is killed or
// frozen meanwhile.
func TestFault_DurableLine(t *testing.T) {
	s := newSite(t)
	near, far := s.agent("near"), s.agent("far")
	durable := func(typ, worker string) []damrey.Command {
		return []damrey.Command{{Name: typ, Worker: worker, Delivery: damrey.Durable}}
	}
	s.put(damrey.Registration{Name: "entry", Commands: durable("job", "pass")})
	s.put(damrey.Registration{Name: "pass", Commands: durable("job", "echo")})
	pass, echo := s.worker("pass", far.url(), "-forward", "job"), s.worker("echo", far.url())
	x := s.storer(t, s.entry(near.url()))
	x.storedAgain("the start")
	u := s.usage()

	for _, p := range []*process{pass, echo} {
		p.kill()
		x.storedAgain("kill -9 of " + p.name)
		p.start()
	}
	far.kill()
	x.storedAgain("kill -9 of the agent of the workers")
	far.start()
	near.kill()
	near.start()
	x.storedAgain("kill -9 of the agent of the sender")
	s.hub.kill()
	s.hub.start()
	x.storedAgain("kill -9 of proxy and broker")
	for _, p := range []*process{pass, s.hub} {
		p.freeze()
		last(5 * time.Second)
		p.thaw()
		x.storedAgain("SIGSTOP of " + p.name)
	}
	x.end()
	began := time.Now()
	eventually(t, "every stored message was handled at the end of the line", func() bool { return len(x.missing(s)) == 0 })
	took := time.Since(began).Round(time.Millisecond)
	doubled := 0
	for _, r := range s.journal.ran(t, storerName) {
		doubled += max(0, r.answered-1)
	}
	summary.add(row{
		fault: fault(t), load: storerName,
		sent:     fmt.Sprintf("%d stored, %d unsure, worst %v", len(x.stored), x.unsure, x.worst.Round(time.Millisecond)),
		answered: fmt.Sprintf("0 lost, %d ran twice", doubled), recovery: "quiet " + took.String(),
	})
	u.returns()
}

// missing are the stored messages that did not reach the end of the line.
func (x *storer) missing(s *site) []int {
	ran := s.journal.ran(x.t, storerName)
	var missing []int
	for _, id := range x.stored {
		if ran[id].answered == 0 {
			missing = append(missing, id)
		}
	}
	if len(missing) > 0 {
		x.t.Logf("%d of %d are missing, such as %d", len(missing), len(x.stored), missing[0])
	}
	return missing
}
