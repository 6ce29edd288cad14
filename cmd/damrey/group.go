package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// group runs the parts of a daemon, each of which may need those before it: they stop in the opposite order, each when
// the one after it is gone. The first that ends, for whatever reason, ends the others.
//
//	g := newGroup(ctx)
//	err := g.start("broker", b.Run, b.Ready())   // and so on
//	return g.finish(err)                         // waits for ctx or the first end
type group struct {
	ctx   context.Context // the daemon's; each part has its own, which ends at its turn
	first chan struct{}   // holds one when a part has ended
	parts []*part
}

type part struct {
	name string
	stop context.CancelFunc
	done chan struct{}
	err  error // once done is closed
}

func newGroup(ctx context.Context) *group {
	return &group{ctx: ctx, first: make(chan struct{}, 1)}
}

// start runs a part and waits until it is ready. The error says that the daemon should not go on: the part has ended,
// another has, or ctx has; finish knows which.
func (g *group) start(name string, run func(context.Context) error, ready <-chan struct{}) error {
	ctx, stop := context.WithCancel(context.WithoutCancel(g.ctx))
	p := &part{name: name, stop: stop, done: make(chan struct{})}
	g.parts = append(g.parts, p)
	go func() {
		defer close(p.done)
		p.err = run(ctx)
		if p.err == nil && ctx.Err() == nil {
			p.err = fmt.Errorf("the %s has ended by itself", name)
		}
		select {
		case g.first <- struct{}{}:
		default:
		}
	}()
	return g.await(ready)
}

// cleanup runs f at its turn, after all parts that were started later are gone.
func (g *group) cleanup(f func()) {
	done := make(chan struct{})
	g.parts = append(g.parts, &part{stop: func() { f(); close(done) }, done: done})
}

var errEnds = errors.New("the daemon ends")

func (g *group) await(ready <-chan struct{}) error {
	select {
	case <-ready:
		return nil
	case <-g.first:
		g.first <- struct{}{} // for finish
	case <-g.ctx.Done():
	}
	return errEnds
}

// finish waits for the end unless err says that it has come, stops all parts, and returns what went wrong.
func (g *group) finish(err error) error {
	if err == nil {
		err = g.await(nil)
	}
	if errors.Is(err, errEnds) {
		err = nil
	}
	for _, p := range slices.Backward(g.parts) {
		p.stop()
		<-p.done
		err = errors.Join(err, p.err)
	}
	return err
}
