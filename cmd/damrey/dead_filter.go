package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

// deadFilter is the flags that choose among dead letters.
type deadFilter struct {
	worker, typ, from, text string
	since, until            moment
}

func (f *deadFilter) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.worker, "worker", "", "only letters for this `WORKER`")
	flags.StringVar(&f.typ, "type", "", "only letters of this `TYPE`")
	flags.StringVar(&f.from, "from", "", "only letters that this `WORKER` sent")
	flags.StringVar(&f.text, "error", "", "only letters whose error holds this `TEXT`")
	flags.Var(&f.since, "since", "only letters since this `TIME`: 1h30m ago, or 2026-01-02T15:04:05Z")
	flags.Var(&f.until, "until", "only letters up to this `TIME`, written as for --since")
}

// filter refuses names that no worker and no type can have.
func (f *deadFilter) filter() (api.DeadFilter, error) {
	for _, name := range []struct {
		flag, value string
		check       func(string) error
	}{{"worker", f.worker, damrey.CheckWorkerName}, {"type", f.typ, damrey.CheckName}, {"from", f.from, damrey.CheckName}} {
		if name.value == "" {
			continue
		}
		if err := name.check(name.value); err != nil {
			return api.DeadFilter{}, usageError("--%s: %w", name.flag, err)
		}
	}
	since, until := f.since.time(), f.until.time()
	if !until.IsZero() && until.Before(since) {
		return api.DeadFilter{}, usageError("--until %s is before --since %s", &f.until, &f.since)
	}
	return api.DeadFilter{Worker: f.worker, Type: f.typ, From: f.from, Error: f.text, Since: since, Until: until}, nil
}

func (f *deadFilter) isSet() bool { return *f != deadFilter{} }

// eachDead calls take with page after page of the letters that match, until there are no more or take says false.
func eachDead(ctx context.Context, client *api.Client, f api.DeadFilter, take func(api.DeadList) bool) error {
	for {
		list, err := client.Dead(ctx, f)
		if err != nil || !take(list) || list.Next == 0 {
			return err
		}
		f.After = list.Next
	}
}
