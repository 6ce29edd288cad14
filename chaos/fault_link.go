package chaos

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/damrey/damrey/internal/relay"
)

const (
	cutTime      = 3 * time.Second
	slowTime     = 5 * time.Second
	slowDelay    = 200 * time.Millisecond
	throttleRate = 32 << 10
	stallShare   = 0.05
	stallTime    = 400 * time.Millisecond // about what TCP waits until it sends again, twice
)

func cutLeaf(ctx context.Context, s *site, h *happened, random *rand.Rand) error {
	return s.leafLink(ctx, h, random, relay.State{Cut: true}, cutTime)
}

func delayLeaf(ctx context.Context, s *site, h *happened, random *rand.Rand) error {
	return s.leafLink(ctx, h, random, relay.State{Delay: slowDelay}, slowTime)
}

func throttleLeaf(ctx context.Context, s *site, h *happened, random *rand.Rand) error {
	return s.leafLink(ctx, h, random, relay.State{Rate: throttleRate}, slowTime)
}

// leafLink changes an agent's links to all nodes for a while.
func (s *site) leafLink(ctx context.Context, h *happened, random *rand.Rand, state relay.State, d time.Duration) error {
	a := s.agents[random.IntN(len(s.agents))]
	h.at(a.name+" ══ broker", s.behindAgent(a)...)
	set(ctx, a.links, state, d)
	return nil
}

// slowRoutes slows the routes between two nodes, as a network does that loses packets.
func slowRoutes(ctx context.Context, s *site, h *happened, random *rand.Rand) error {
	i := random.IntN(len(s.nodes))
	a, b := s.nodes[i], s.nodes[(i+1)%len(s.nodes)]
	h.at(a.name + " ══ " + b.name)
	set(ctx, []*relay.Relay{a.routes[b], b.routes[a]}, relay.State{Delay: slowDelay, Stall: stallShare, StallTime: stallTime}, slowTime)
	return nil
}

func set(ctx context.Context, links []*relay.Relay, state relay.State, d time.Duration) {
	for _, r := range links {
		r.Set(state)
	}
	sleep(ctx, d)
	for _, r := range links {
		r.Heal()
	}
}
