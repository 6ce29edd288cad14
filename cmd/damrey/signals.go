package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// untilStopped is untilSignal of a daemon, which says that it has heard: it may take a while to end.
func (a *app) untilStopped(parent context.Context, force func()) (ctx context.Context, release func()) {
	return a.until(parent, force, func(got os.Signal) {
		a.log.Info().Stringer("signal", got).Msg("ending in order; once more ends at once")
	})
}

// untilSignal returns a context that ends with the first Ctrl-C or SIGTERM. The second ends the process at once, after
// force, which must not wait. Call release when all is over.
func (a *app) untilSignal(parent context.Context, force func()) (ctx context.Context, release func()) {
	return a.until(parent, force, func(os.Signal) {})
}

func (a *app) until(parent context.Context, force func(), heard func(os.Signal)) (ctx context.Context, release func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	over := make(chan struct{})
	go func() {
		for first := true; ; first = false {
			select {
			case <-over:
				return
			case got := <-signals:
				if !first {
					force()
					os.Exit(exitForced)
				}
				heard(got)
				cancel()
			}
		}
	}()
	return ctx, func() { signal.Stop(signals); close(over); cancel() }
}
