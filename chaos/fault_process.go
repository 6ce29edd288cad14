package chaos

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

const (
	frozenTime = 5 * time.Second
	downTime   = 5 * time.Second
	busyTime   = 2 * time.Second // to find an instance in a handler
)

// killInstance kills one in a handler.
func killInstance(ctx context.Context, s *site, h *happened, random *rand.Rand) error {
	w := s.workers[random.IntN(len(s.workers))]
	down := time.Duration(random.IntN(1000)) * time.Millisecond
	w.awaitBusy(ctx)
	h.at(w.name, w)
	if err := w.kill(); err != nil {
		return err
	}
	sleep(ctx, down)
	return w.start(ctx)
}

// awaitBusy waits until its journal says that a handler runs. Not for ever: an echo has no journal.
func (w *worker) awaitBusy(ctx context.Context) {
	for end := time.Now().Add(busyTime); w.stage != echo && time.Now().Before(end) && ctx.Err() == nil; time.Sleep(time.Millisecond) {
		if last, ok := lastEntry(w.journal); ok && !last.ends {
			return
		}
	}
}

func killAgent(ctx context.Context, s *site, h *happened, random *rand.Rand) error {
	a := s.agents[random.IntN(len(s.agents))]
	down := time.Duration(random.IntN(2000)) * time.Millisecond
	h.at(a.name, s.behindAgent(a)...)
	if err := a.kill(); err != nil {
		return err
	}
	sleep(ctx, down)
	return a.start(ctx)
}

// someLeader is the node that leads one of the streams of jobs.
func (s *site) someLeader(ctx context.Context, h *happened, random *rand.Rand) (*node, error) {
	stream := jobsStream(line[random.IntN(len(line))])
	n, err := s.awaitLeader(ctx, stream)
	if err == nil {
		h.at(n.name + ", leader of " + stream)
	}
	return n, err
}

func killLeader(ctx context.Context, s *site, h *happened, random *rand.Rand) error {
	down := time.Duration(random.IntN(3000)) * time.Millisecond
	n, err := s.someLeader(ctx, h, random)
	if err != nil {
		return err
	}
	if err := n.kill(); err != nil {
		return err
	}
	sleep(ctx, down)
	return n.start(ctx)
}

func killCluster(ctx context.Context, s *site, h *happened, _ *rand.Rand) error {
	h.at("all nodes")
	return s.killNodes(ctx, s.nodes, 0)
}

// twoDown leaves one node, which must not acknowledge anything.
func twoDown(ctx context.Context, s *site, h *happened, random *rand.Rand) error {
	stays := random.IntN(len(s.nodes))
	var down []*node
	for i, n := range s.nodes {
		if i != stays {
			down = append(down, n)
		}
	}
	h.at(down[0].name + " and " + down[1].name)
	for _, n := range down {
		if err := n.kill(); err != nil {
			return err
		}
	}
	h.silent.from = time.Now()
	sleep(ctx, downTime)
	h.silent.to = time.Now()
	return s.startNodes(ctx, down)
}

// killNodes kills some at once and starts them after a while.
func (s *site) killNodes(ctx context.Context, nodes []*node, down time.Duration) error {
	errs := make(chan error, len(nodes))
	for _, n := range nodes {
		go func() { errs <- n.kill() }()
	}
	var all error
	for range nodes {
		all = errors.Join(all, <-errs)
	}
	if all != nil {
		return all
	}
	sleep(ctx, down)
	return s.startNodes(ctx, nodes)
}

func (s *site) startNodes(ctx context.Context, nodes []*node) error {
	for _, n := range nodes {
		if err := n.launch(); err != nil {
			return err
		}
	}
	for _, n := range nodes {
		if err := n.awaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// rollingRestart is how a new version comes: one node after another ends in order.
func rollingRestart(ctx context.Context, s *site, h *happened, random *rand.Rand) error {
	order := random.Perm(len(s.nodes))
	h.at("all nodes, one after another")
	for _, i := range order {
		n := s.nodes[i]
		if err := n.stop(); err != nil {
			return err
		}
		if err := n.start(ctx); err != nil {
			return err
		}
		if err := s.settle(ctx); err != nil {
			return err
		}
	}
	return nil
}

func freezeInstance(ctx context.Context, s *site, h *happened, random *rand.Rand) error {
	w := s.workers[random.IntN(len(s.workers))]
	w.awaitBusy(ctx)
	h.at(w.name, w)
	return freezeAll(ctx, w.process)
}

func freezeAgent(ctx context.Context, s *site, h *happened, random *rand.Rand) error {
	a := s.agents[random.IntN(len(s.agents))]
	h.at(a.name, s.behindAgent(a)...)
	return freezeAll(ctx, a.process)
}

func freezeLeader(ctx context.Context, s *site, h *happened, random *rand.Rand) error {
	n, err := s.someLeader(ctx, h, random)
	if err != nil {
		return err
	}
	return freezeAll(ctx, n.process)
}

func freezeCluster(ctx context.Context, s *site, h *happened, _ *rand.Rand) error {
	h.at("all nodes")
	var all []*process
	for _, n := range s.nodes {
		all = append(all, n.process)
	}
	return freezeAll(ctx, all...)
}

func freezeAll(ctx context.Context, all ...*process) (err error) {
	for _, p := range all {
		err = errors.Join(err, p.freeze())
	}
	sleep(ctx, frozenTime)
	for _, p := range all {
		err = errors.Join(err, p.thaw())
	}
	return err
}
