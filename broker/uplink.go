package broker

import (
	"context"
	"time"
)

// uplinkPoll is how often Watch looks: a link that went needs at least leafReconnect to come back.
const uplinkPoll = 100 * time.Millisecond

// Uplink tells whether the broker has taken a link from this leaf. A frozen one is given up after about six seconds.
func (l *Leaf) Uplink() bool { return l.uplinkID() != 0 }

// Watch calls changed with the present state and then for every change, from this goroutine, until ctx ends. A link that
// was replaced between two looks is told as down and up, so that nobody misses that messages may have been lost.
func (l *Leaf) Watch(ctx context.Context, changed func(up bool)) {
	tick := time.NewTicker(uplinkPoll)
	defer tick.Stop()
	last := l.uplinkID()
	changed(last != 0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := l.uplinkID()
		if now == last {
			continue
		}
		if last != 0 {
			changed(false)
		}
		if now != 0 {
			changed(true)
		}
		last = now
	}
}

// uplinkID is nats-server's number of the link to the broker, another for each connection; 0 when there is none.
// nats-server counts a link only once the broker has answered its login, so a refused one is never up.
func (l *Leaf) uplinkID() uint64 {
	srv := l.server()
	if srv == nil || srv.NumLeafNodes() == 0 {
		return 0
	}
	leafs, err := srv.Leafz(nil)
	if err != nil || len(leafs.Leafs) == 0 {
		return 0
	}
	return leafs.Leafs[0].ID
}
