package damrey

import (
	"context"
	"sync"
	"time"

	"github.com/damrey/damrey/internal/bucket"
	"github.com/rs/zerolog"
)

// progressEvery is how often the broker is told that a job is in hand.
const progressEvery = bucket.AckWait / 4

// jobsInHand are told to the broker as in progress until they end.
type jobsInHand struct {
	mu  sync.Mutex // guards what follows
	all map[*job]struct{}
}

func (h *jobsInHand) add(j *job) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all == nil {
		h.all = make(map[*job]struct{})
	}
	h.all[j] = struct{}{}
}

// end says false when j has ended before.
func (h *jobsInHand) end(j *job) bool {
	h.mu.Lock()
	ended := j.over
	j.over = true
	delete(h.all, j)
	h.mu.Unlock()
	return !ended
}

// has says that j has not ended.
func (h *jobsInHand) has(j *job) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !j.over
}

func (h *jobsInHand) list() []*job {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]*job, 0, len(h.all))
	for j := range h.all {
		all = append(all, j)
	}
	return all
}

// keepJobs tells the broker what is in progress until ctx ends.
func (w *Instance) keepJobs(ctx context.Context) {
	t := time.NewTicker(progressEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		for _, j := range w.jobs.list() {
			if j.rescued || j.owned() {
				continue
			}
			if err := w.link.nc.Publish(j.msg.Reply, inProgress); err != nil {
				w.log.warn("could not tell the broker that a job is in progress", func(e *zerolog.Event) { e.Err(err) })
			}
		}
	}
}
