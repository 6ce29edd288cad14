package agentd

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/damrey/damrey"
)

const (
	// askTime is for one question to the broker. Measured with nats-server 2.15.2: in the first moment after a broker's
	// restart about one question in a hundred is lost without a word.
	askTime = 250 * time.Millisecond
	// askLimit is how long the instances wait to be told of a link over which JetStream does not answer.
	askLimit = 5 * time.Second
	askPause = 50 * time.Millisecond
)

// uplink takes what the leaf server says about its link to the broker. It does not block when the link came.
func (a *Agent) uplink(up bool) {
	was := a.up.Swap(up)
	switch {
	case up:
		if !was {
			a.cfg.Log.Info().Msg("the link to the broker is up")
		}
		select {
		case a.linked <- struct{}{}:
		default:
		}
		return
	case was:
		a.behind.Store(true)
		a.cfg.Log.Warn().Msg("the link to the broker is down; going on with the last routing table")
	}
	a.tell("down")
}

// tellUp tells of a link that came, once the broker answers over it: whoever is told reads the table at once, and would
// wait long for a question that was lost. The agent's own watcher hears it with the others, and all spread their reading.
func (a *Agent) tellUp(ctx context.Context) {
	for {
		select {
		case <-a.linked:
		case <-ctx.Done():
			return
		}
		a.awaitBroker(ctx)
		if a.up.Load() && ctx.Err() == nil {
			a.tell("up")
		}
	}
}

func (a *Agent) awaitBroker(ctx context.Context) {
	for end := time.Now().Add(askLimit); a.up.Load() && ctx.Err() == nil && time.Now().Before(end); {
		short, cancel := context.WithTimeout(ctx, askTime)
		_, err := a.nc.RequestWithContext(short, "$JS.API.INFO", nil)
		cancel()
		if err == nil {
			return
		}
		wait(ctx, askPause/2+rand.N(askPause))
	}
}

func (a *Agent) tell(word string) {
	if err := a.nc.Publish(damrey.UplinkSubject(a.member.Fabric.Prefix), []byte(word)); err != nil {
		a.cfg.Log.Error().Err(err).Str("uplink", word).Msg("the instances on this machine cannot be told of the link to the broker")
	}
}
