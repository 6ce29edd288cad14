package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey/internal/api"
)

// deadChoice is which letters `damrey dead retry` and `damrey dead purge` mean: those named, or all that match.
type deadChoice struct {
	all    bool
	filter deadFilter
}

func (c *deadChoice) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&c.all, "all", false, "all letters, or all that match the filters")
	c.filter.add(cmd)
}

// parse makes sure that there are either numbers or --all.
func (c *deadChoice) parse(args []string) (sequences []uint64, f api.DeadFilter, err error) {
	switch {
	case len(args) == 0 && !c.all && c.filter.isSet():
		return nil, f, usageError("--all is missing; filters choose among all letters")
	case len(args) == 0 && !c.all:
		return nil, f, usageError("SEQ is missing; give the numbers of letters, as `damrey dead ls` shows them, or --all")
	case len(args) > 0 && c.all:
		return nil, f, usageError("%q and --all: give numbers or --all, not both", args[0])
	case len(args) > 0 && c.filter.isSet():
		return nil, f, usageError("%q and a filter: filters are for --all", args[0])
	}
	for _, arg := range args {
		sequence, err := parseSequence(arg)
		if err != nil {
			return nil, f, err
		}
		if !slices.Contains(sequences, sequence) {
			sequences = append(sequences, sequence)
		}
	}
	f, err = c.filter.filter()
	return sequences, f, err
}

// find is the letters that there are now: one that fails and dies again meanwhile is not taken twice.
func (c *deadChoice) find(ctx context.Context, client *api.Client, sequences []uint64, f api.DeadFilter) ([]uint64, error) {
	if !c.all {
		return sequences, nil
	}
	f.Limit = api.MaxDead
	err := eachDead(ctx, client, f, func(page api.DeadList) bool {
		for _, l := range page.Letters {
			sequences = append(sequences, l.Sequence)
		}
		return true
	})
	return sequences, err
}

// eachChosen finds the letters and runs over them. Ctrl-C ends it after the letter that is in hand.
func (a *app) eachChosen(ctx context.Context, client *api.Client, choice *deadChoice, sequences []uint64, f api.DeadFilter, r *deadRun) error {
	ctx, release := a.untilSignal(ctx, func() {})
	defer release()
	sequences, err := choice.find(ctx, client, sequences, f)
	if err != nil {
		return err
	}
	if len(sequences) == 0 {
		fmt.Fprintln(a.stderr, "No dead letter matches.")
		return nil
	}
	r.tolerant = choice.all
	return r.run(ctx, a, sequences)
}
