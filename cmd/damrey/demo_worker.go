package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey"
)

// newDemoWorkerCommand is one worker of `damrey dev --demo`, which starts it; not for people.
func newDemoWorkerCommand(a *app) *cobra.Command {
	var nats natsFlags
	var prefix string
	cmd := &cobra.Command{
		Use:    "demo-worker NAME",
		Short:  "One worker of damrey dev --demo",
		Hidden: true,
		Args:   exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if demoRoles[args[0]] == nil {
				return usageError("NAME %q is no worker of the demo", args[0])
			}
			if err := checkPrefix(prefix); err != nil {
				return err
			}
			return a.runDemoWorker(cmd.Context(), args[0], nats, prefix)
		},
	}
	nats.add(cmd)
	addPrefix(cmd.Flags(), &prefix)
	return cmd
}

// runDemoWorker ends when stdin does: whoever started it has ended then, however that came.
func (a *app) runDemoWorker(ctx context.Context, name string, nats natsFlags, prefix string) error {
	ctx, release := a.untilSignal(ctx, func() {})
	defer release()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, a.stdin) // an error is an end too
		cancel()
	}()
	nats.config.Log = a.log
	w := damrey.New(damrey.Config{Name: name}, a.log, damrey.WithConnect(nats.config), damrey.WithPrefix(prefix), damrey.WithDrainTime(2*time.Second), damrey.WithTraceSampling(demoSampling))
	traffic := demoRoles[name](w)
	g := newGroup(ctx)
	err := g.start("worker", w.Serve, w.Ready())
	if err == nil && traffic != nil {
		begun := make(chan struct{})
		close(begun)
		err = g.start("traffic", traffic, begun)
	}
	if err == nil {
		_, err = fmt.Fprintln(a.stdout, "ready") // whoever waits for it would wait for ever
	}
	return g.finish(err)
}

// demoRoles make the workers of the demo. What one returns is run beside it.
var demoRoles = map[string]func(*damrey.Instance) func(context.Context) error{
	"shop":  demoShop,
	"order": demoOrder,
	"fraud": demoFraud,
	"bank":  demoBank,
	"mail":  demoMail,
}

// demoPace is the time between two orders.
const demoPace = 250 * time.Millisecond

// demoSampling is the share of orders that are traced: one in a few seconds.
const demoSampling = 0.1

// demoShop orders without end. It does not wait for one to be done before the next.
func demoShop(w *damrey.Instance) func(context.Context) error {
	return func(ctx context.Context) error {
		tick := time.NewTicker(demoPace)
		defer tick.Stop()
		for number := 1; ; number++ {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				go func() { // what came of it is what the demo shows
					_, _ = w.Request(ctx, "order", strconv.Itoa(number), strconv.Itoa(1+rand.N(200)))
				}()
			}
		}
	}
}

// demoOrder stores a mail, and has the order checked.
func demoOrder(w *damrey.Instance) func(context.Context) error {
	w.Handle("order", func(ctx context.Context, in damrey.Msg) (damrey.Msg, error) {
		if err := w.Send(ctx, "mail", in.Arg(0)); err != nil {
			return nil, err
		}
		return damrey.NewRequest("check", in.Args()...), nil
	})
	return nil
}

// demoFraud is the slow hop.
func demoFraud(w *damrey.Instance) func(context.Context) error {
	w.Handle("check", func(ctx context.Context, in damrey.Msg) (damrey.Msg, error) {
		demoWork(ctx, 150*time.Millisecond)
		if rand.N(40) == 0 {
			return nil, fmt.Errorf("order %s looks like fraud", in.Arg(0))
		}
		return damrey.NewRequest("pay", in.Args()...), nil
	})
	return nil
}

func demoBank(w *damrey.Instance) func(context.Context) error {
	w.Handle("pay", func(ctx context.Context, in damrey.Msg) (damrey.Msg, error) {
		demoWork(ctx, 5*time.Millisecond)
		if rand.N(50) == 0 {
			return nil, fmt.Errorf("the card of order %s is declined", in.Arg(0))
		}
		return damrey.Reply("paid", in.Arg(1)), nil
	})
	return nil
}

// demoMail fails for some orders every time, so that there are dead letters.
func demoMail(w *damrey.Instance) func(context.Context) error {
	w.Handle("mail", func(ctx context.Context, in damrey.Msg) (damrey.Msg, error) {
		demoWork(ctx, 10*time.Millisecond)
		if number, err := strconv.Atoi(in.Arg(0)); err != nil || number%60 == 0 {
			return nil, fmt.Errorf("order %s has no address to write to", in.Arg(0))
		}
		return nil, nil
	})
	return nil
}

// demoWork takes a time, or twice that.
func demoWork(ctx context.Context, d time.Duration) {
	waitUntil(ctx, time.Now().Add(d+rand.N(d)))
}
