package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

const devHelp = `Run everything in one process, to try it and to write workers against: broker, proxy and the
bridge for programs without the library. All of it, what durable routes store too, is in memory unless
--data says where to keep it.

It prints the addresses, what to type next, and ` + "`ready`" + `.

  damrey dev --demo     with five small workers and traffic between them, to see the page and the tools`

func newDevCommand(a *app) *cobra.Command {
	var f fabricFlags
	var demo demoFlags
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run broker and proxy in one process, in memory",
		Long:  devHelp,
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(false); err != nil {
				return err
			}
			if err := demo.check(); err != nil {
				return err
			}
			return a.runDev(cmd.Context(), &f, demo)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&f.data, "data", "", "`DIR` to keep table, stored messages and dead letters in (default: in memory)")
	demo.add(cmd)
	return cmd
}

// runDev is runProxy with advice:  broker ── connection ─┬─ watcher ── bridge
//
//	└─ proxy ── workers of the demo, a process each
func (a *app) runDev(ctx context.Context, f *fabricFlags, demo demoFlags) error {
	cfg := f.config(a)
	if err := f.alarms.fill(a, &cfg.Proxy); err != nil {
		return err
	}
	ctx, release := a.untilStopped(ctx, func() {})
	defer release()
	g := newGroup(ctx)
	running, err := startFabric(ctx, g, cfg)
	if err == nil {
		a.printFabric(running)
		if demo.on {
			err = a.startDemo(ctx, g, running, f.prefix, demo.again)
		} else {
			a.printNext(running, f.prefix)
		}
	}
	if err == nil {
		_, err = fmt.Fprintln(a.stdout, "ready") // whoever waits for it would wait for ever
	}
	return g.finish(err)
}

// printNext prints lines that can be typed as they stand.
func (a *app) printNext(f fabric, prefix string) {
	proxy := strings.TrimPrefix(f.rest, "http://")
	fmt.Fprintf(a.stdout, `
in another terminal:
  damrey worker add entry --command hello=greeter --proxy %s
  damrey worker add greeter --proxy %s
  damrey tap '*' --args --nats %s
  nats --server %s req %s.out.entry.hello world

`, proxy, proxy, f.nats[0], f.nats[0], prefix)
}
