package chaos

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/damrey/damrey"
)

const (
	askEvery    = 20 * time.Millisecond
	askTime     = 4 * time.Second
	answerSlack = 5 * time.Second  // what an answer may be late on a machine that does other things too
	watchTime   = 10 * time.Second // for which second answers are looked for
)

// requests are those of the library. Each must get one answer.
type requests struct {
	send  chan<- *damrey.Message
	group sync.WaitGroup

	mu sync.Mutex // guards what follows
	answers
}

// answers counts.
type answers struct {
	asked    int
	kinds    map[string]int
	missing  []string
	twice    []string
	excluded int
	timedOut int
}

func (r *requests) start(ctx context.Context) {
	r.kinds = make(map[string]int)
	askOften(ctx, &r.group, askEvery, r.ask)
}

// askOften begins to ask at intervals, each time by itself, until ctx ends.
func askOften(ctx context.Context, group *sync.WaitGroup, every time.Duration, ask func(n int)) {
	group.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			group.Go(func() { ask(n) })
		}
	})
}

func (r *requests) wait() { r.group.Wait() }

func (r *requests) ask(n int) {
	id := fmt.Sprintf("request-%d", n)
	rch := make(chan []string, 4)
	timer := time.NewTimer(askTime + answerSlack)
	defer timer.Stop()
	select {
	case r.send <- &damrey.Message{Msg: damrey.NewRequest(echo, id), Rch: rch, Timeout: askTime}:
	case <-timer.C:
		r.enter(id, "", false)
		return
	}
	var first string
	select {
	case m := <-rch:
		first = damrey.Msg(m).Tag()
	case <-timer.C:
	}
	again := false
	watch := time.NewTimer(watchTime)
	defer watch.Stop()
	select {
	case <-rch:
		again = first != ""
	case <-watch.C:
	}
	r.enter(id, first, again)
}

// enter what became of a request.
func (r *requests) enter(id, kind string, twice bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers.enter(id, kind, twice)
}

func (a *answers) enter(id, kind string, twice bool) {
	a.asked++
	if kind == "" {
		a.missing = append(a.missing, id)
	} else {
		a.kinds[kind]++
	}
	if twice {
		a.twice = append(a.twice, id)
	}
}
