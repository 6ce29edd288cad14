package damrey

import (
	"context"
	"encoding/json"
	"os"
	"runtime/debug"
	"sync"

	"github.com/damrey/damrey/internal/report"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// report begins to tell of the instance, and to hear of taps.
func (w *Instance) report(ctx context.Context, group *sync.WaitGroup, nc *nats.Conn) {
	if w.opts.silent {
		return
	}
	group.Go(func() { w.sender.Run(ctx) })
	if err := w.taps.open(w, nc); err != nil {
		w.log.warn("this instance cannot be tapped", func(e *zerolog.Event) { e.Err(err) })
	}
}

// become takes another state and tells it.
func (w *Instance) become(s report.State) {
	if w.state.Swap(s) != s {
		w.sender.Changed()
	}
}

// beat says how the instance is, and what it has counted. It runs in the
// sender's goroutine, and may wait for the connection's lock.
func (w *Instance) beat() report.Beat {
	view, stats := w.view.Load(), w.Stats()
	return report.Beat{
		Worker: w.cfg.Name, Instance: w.id, Version: Version,
		Host: hostname(), Agent: w.link.nc.ConnectedServerName(), Program: program(), PID: os.Getpid(),
		Started: w.started,
		State:   w.state.Load().(report.State), Stale: view != nil && view.stale,
		InFlight: stats.InFlight, Queued: stats.Queued, Capacity: w.dispatch.most(),
		In: w.ins.snapshot(w.dispatch.inHand()), Out: w.link.outs.snapshot(w.cfg.Name),
		Counts: stats.counts(),
	}
}

func (w *Instance) publishBeat(subject string, data []byte) error {
	err := w.publishAside(subject, data)
	if err != nil && !notConnected(err) {
		w.log.warn("a beat could not leave", func(e *zerolog.Event) { e.Err(err).Int("bytes", len(data)) })
	}
	return err
}

// publishAside is for what is no message. It counts it as under way first, so
// that nobody who answers meanwhile is held up by a link that has frozen.
func (w *Instance) publishAside(subject string, data []byte) error {
	if !w.link.state.up.Load() {
		return nats.ErrDisconnected
	}
	w.link.outbox.unheard.Add(int64(len(data)))
	return w.link.nc.Publish(subject, data)
}

// counts are the counters by their names, those that are zero left out.
func (s Stats) counts() map[string]uint64 {
	s.InFlight, s.Queued, s.Waiting = 0, 0, 0 // no counters
	data, err := json.Marshal(s)
	counts := make(map[string]uint64)
	if err == nil {
		err = json.Unmarshal(data, &counts)
	}
	if err != nil {
		return nil // numbers always marshal
	}
	for name, n := range counts {
		if n == 0 {
			delete(counts, name)
		}
	}
	return counts
}

// hostname is empty when the system does not say.
var hostname = sync.OnceValue(func() string {
	name, _ := os.Hostname()
	return name
})

// program is the path of the main package's module.
var program = sync.OnceValue(func() string {
	if build, ok := debug.ReadBuildInfo(); ok {
		return build.Main.Path
	}
	return ""
})
