package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey/chaos"
)

// newChaosWorkerCommand is one instance of `damrey chaos`, which starts it; not for people.
func newChaosWorkerCommand(a *app) *cobra.Command {
	var cfg chaos.WorkerConfig
	cmd := &cobra.Command{
		Use:    "chaos-worker",
		Short:  "One instance of a worker of damrey chaos",
		Hidden: true,
		Args:   exactly(),
		RunE:   func(cmd *cobra.Command, _ []string) error { return a.runChaosWorker(cmd.Context(), cfg) },
	}
	flags := cmd.Flags()
	flags.StringVar(&cfg.Stage, "stage", "", "`NAME` of the worker")
	flags.StringVar(&cfg.Instance, "instance", "", "`NAME` of this instance in the journal")
	flags.StringVar(&cfg.Journal, "journal", "", "`FILE` that takes a line for each beginning and end of a handler")
	flags.StringVar(&cfg.Next, "next", "", "`TYPE` that messages go on as (default: they end here)")
	flags.StringVar(&cfg.Break, "break", "", "be wrong in this `WAY`")
	for _, name := range []string{"stage", "instance", "journal"} {
		_ = cmd.MarkFlagRequired(name) // fails only for a flag that is not there
	}
	return cmd
}

func (a *app) runChaosWorker(ctx context.Context, cfg chaos.WorkerConfig) error {
	cfg.Log = a.log
	w, err := chaos.NewWorker(cfg)
	if err != nil {
		return err
	}
	ctx, release := a.untilSignal(ctx, func() {})
	defer release()
	g := newGroup(ctx)
	err = g.start("worker", w.Serve, w.Ready())
	if err == nil {
		_, err = fmt.Fprintln(a.stdout, "ready") // whoever waits for it would wait for ever
	}
	return errors.Join(g.finish(err), w.Close())
}
