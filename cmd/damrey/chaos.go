package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/damrey/damrey/chaos"
)

const chaosHelp = `Break a whole fabric of processes on this machine while messages go through it, and check that none was
lost, doubled, overtaken or left unanswered: three nodes, two agents, a line of three durable workers with
two instances each, requests beside it, and routes that change all the time.

  damrey chaos --minutes 5 --seed 1 -o json
  damrey chaos --minutes 1 --faults kill-instance,cut-leaf --gap 500ms

What is broken when follows from the seed. It ends with an error when anything is wrong, names the
messages, and keeps journals, logs and data then. Linux only.

Faults: `

type chaosFlags struct {
	cfg     chaos.Config
	minutes float64
	broken  enum
}

func newChaosCommand(a *app) *cobra.Command {
	var f chaosFlags
	var out output
	cmd := &cobra.Command{
		Use:   "chaos",
		Short: "Break a fabric while messages go through it, and check that none was lost",
		Long:  chaosHelp + strings.Join(chaos.Faults(), ", "),
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.complete(cmd); err != nil {
				return err
			}
			return a.runChaos(cmd.Context(), f.cfg, &out)
		},
	}
	flags := cmd.Flags()
	flags.Float64Var(&f.minutes, "minutes", 5, "`MINUTES` for which faults are made; starting and finishing come beside it")
	flags.Uint64Var(&f.cfg.Seed, "seed", 0, "`SEED` of the faults (default: by chance; it is printed)")
	inRange(flags, "seed", "a whole number from 0 on")
	flags.StringSliceVar(&f.cfg.Faults, "faults", nil, "only these `FAULTS`, separated by commas (default: all)")
	flags.DurationVar(&f.cfg.Gap, "gap", 2*time.Second, "how long all is well between two faults, about")
	f.broken = newEnum(append([]string{"no"}, chaos.Breaks()...)...)
	flags.Var(&f.broken, "break", "make the workers wrong, to see that it is found")
	out.add(cmd, "table")
	return cmd
}

func (f *chaosFlags) complete(cmd *cobra.Command) (err error) {
	f.cfg.For = time.Duration(f.minutes * float64(time.Minute))
	if !cmd.Flags().Changed("seed") {
		f.cfg.Seed = rand.Uint64N(1 << 32)
	}
	if f.broken.value != "no" {
		f.cfg.Break = f.broken.value
	}
	if err := f.cfg.Check(); err != nil {
		return usageError("%w", err)
	}
	f.cfg.Program, err = os.Executable()
	return err
}

// runChaos:  chaos.Run ── what goes on to stderr, report to stdout
func (a *app) runChaos(ctx context.Context, cfg chaos.Config, out *output) error {
	ctx, release := a.untilSignal(ctx, func() {})
	defer release()
	cfg.Log = a.log
	report, err := chaos.Run(ctx, cfg)
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted: %w", err)
		}
		return err
	}
	if out.forPeople() {
		err = printChaos(a.stdout, report)
	} else {
		err = out.print(a.stdout, report)
	}
	return errors.Join(err, report.Err())
}

func printChaos(w io.Writer, r chaos.Report) error {
	fmt.Fprintf(w, "seed %d, %.0f s of faults, %d changes of the table (%d refused)\n", r.Seed, r.Seconds, r.RouteChanges, r.RefusedChanges)
	fmt.Fprintf(w, "durable: %d sent, %d stored, %d unknown, %d processed; %d lost, %d doubled, %d dead, %d out of order\n",
		r.Sent, r.Stored, r.Unknown, r.Processed, r.Lost, r.Doubled, r.Dead, r.OutOfOrder)
	fmt.Fprintf(w, "         %d failed and ran again; %d ran again, %d of them stored anew under their id, %d unexplained; %d duplicates suppressed; %d acknowledged without a majority\n",
		r.Retried, r.Repeated, r.StoredAgain, r.Unexplained, r.DuplicatesSuppressed, r.AckedWithoutMajority)
	fmt.Fprintf(w, "requests: %d and %d without the library; %d unanswered, %d answered twice\n",
		r.Requests, r.PlainRequests, r.Unanswered, r.AnsweredTwice)
	fmt.Fprintf(w, "          without the library: %d had a broken connection of their own, %d met a fault and timed out\n", r.Excluded, r.TimedOut)
	fmt.Fprintf(w, "worst stall %d ms\n\n", r.WorstStallMS)
	t := newTable("FAULT", "TARGET", "AT", "FOR", "WORST STALL")
	for _, f := range r.Faults {
		t.AppendRow(table.Row{f.Name, f.Target, seconds(f.AtMS), seconds(f.ForMS), seconds(f.StallMS)})
	}
	if err := printTable(w, t); err != nil {
		return err
	}
	for _, p := range r.Problems {
		fmt.Fprintln(w, p)
	}
	if r.Directory != "" {
		fmt.Fprintf(w, "journals, logs and data are in %s\n", r.Directory)
	}
	return nil
}

func seconds(ms int64) string { return fmt.Sprintf("%.1f s", float64(ms)/1000) }
