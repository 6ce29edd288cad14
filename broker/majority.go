package broker

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// majorityLook is how often it is looked whether a majority of the cluster is here.
	majorityLook = 500 * time.Millisecond
	// majorityRemind is the pause between two lines in the log about it.
	majorityRemind = 5 * time.Second
)

// watchMajority keeps Majority up to date with the cluster, from before it returns until stop, which waits for its end.
// Without a majority nothing can be stored or changed, and most of nats-server says nothing then.
func (e *embedded) watchMajority(ctx context.Context, srv *server.Server, log *serverLog) (stop func()) {
	if srv.ClusterName() == "" || !srv.JetStreamEnabled() {
		return func() {}
	}
	w := majorityWatch{embedded: e, srv: srv, lines: log}
	w.look()
	end := watching(ctx, w.run)
	return func() {
		end()
		e.setLack("")
	}
}

// watching runs watch until stop, which waits for its end.
func watching(ctx context.Context, watch func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { watch(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// majorityWatch remembers what was said, so that it is not said all the time.
type majorityWatch struct {
	*embedded
	srv     *server.Server
	lines   *serverLog
	lacking bool
	said    time.Time
}

func (w *majorityWatch) run(ctx context.Context) {
	lookEvery(ctx, majorityLook, func() (over bool) { w.look(); return false })
}

// lookEvery looks after each interval, until ctx ends or it is over.
func lookEvery(ctx context.Context, interval time.Duration, look func() (over bool)) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if look() {
			return
		}
	}
}

func (w *majorityWatch) look() {
	if w.Trouble() != nil {
		w.setLack("") // it takes no part, and the others do not tell it
		return
	}
	lack, obstacle := lackOf(w.srv), w.lines.obstacle()
	if lack != "" && obstacle != "" {
		lack += "; " + obstacle
	}
	w.setLack(lack)
	cluster, due := w.srv.ClusterName(), time.Since(w.said) >= majorityRemind
	switch {
	case lack != "" && due:
		w.said = time.Now()
		w.log.Warn().Msgf("waiting for a majority of the cluster %s: %s", cluster, lack)
	case lack == "" && w.lacking:
		w.said = time.Time{}
		w.log.Info().Str("cluster", cluster).Int("servers", serversHere(w.srv)).Msg("a majority of the cluster is here")
	case obstacle != "" && due:
		w.said = time.Now()
		w.log.Warn().Msgf("a server is kept out of the cluster %s: %s", cluster, obstacle)
	}
	w.lacking = lack != ""
}

// lackOf says what keeps the cluster from storing anything; empty when nothing does, as far as this server knows.
func lackOf(srv *server.Server) string {
	info, err := srv.Jsz(nil)
	if err != nil || info.Meta == nil {
		return "JetStream is about to start"
	}
	here, size := serversHere(srv), info.Meta.Size
	need := size/2 + 1
	if here < need {
		return fmt.Sprintf("%d of %d servers here, %d needed%s; is `damrey proxy --cluster %s` running on the other machines, "+
			"and do they reach one another at the TCP ports of --routes?", here, size, need, away(info.Meta), srv.ClusterName())
	}
	switch {
	case info.Meta.Leader != "":
		return ""
	case here < size: // nats-server 2.15.2 elects nobody before, also in a minute
		return fmt.Sprintf("%d of %d servers here; they elect a leader, which takes some seconds, but for the very first time of a "+
			"cluster all of them must be here%s", here, size, away(info.Meta))
	}
	return fmt.Sprintf("%d of %d servers here; they elect a leader, which takes some seconds", here, size)
}

// away names the servers that are known and not here.
func away(meta *server.MetaClusterInfo) string {
	var names []string
	for _, p := range meta.Replicas {
		if p.Offline {
			names = append(names, p.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return ", away: " + strings.Join(names, ", ")
}

// serversHere counts this server and those it has routes to.
func serversHere(srv *server.Server) int {
	names := map[string]bool{srv.Name(): true}
	routes, err := srv.Routez(nil)
	if err != nil {
		return len(names)
	}
	for _, r := range routes.Routes {
		names[r.RemoteName] = true
	}
	return len(names)
}
