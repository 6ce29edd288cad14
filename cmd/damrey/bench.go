package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/damrey/damrey/bench"
)

const benchHelp = `Measure Damrey against raw nats.go doing the same work, on an embedded broker in this process,
interleaved round by round, so that what else the machine does hits both alike.

The ratio is always so that more is better: Damrey/raw for throughput, raw/Damrey for latency and
memory. Times and rates belong to this machine and this moment; the ratios are the result.
With -o json it is a list of rows, each with name, what, unit, raw, damrey, ratio (min, median, max) and target.

Rows: `

func newBenchCommand(a *app) *cobra.Command {
	var out output
	var cfg bench.Config
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure Damrey against raw NATS on this machine",
		Long:  benchHelp + strings.Join(bench.Names(), ", "),
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkBench(cfg); err != nil {
				return err
			}
			return a.runBench(cmd.Context(), cfg, &out)
		},
	}
	cmd.Flags().StringSliceVar(&cfg.Rows, "rows", nil, "only these `ROWS`, separated by commas (default: all)")
	cmd.Flags().IntVar(&cfg.Rounds, "rounds", 7, "`ROUNDS` that count, after one to warm up")
	inRange(cmd.Flags(), "rounds", "1 or more")
	cmd.Flags().Float64Var(&cfg.Scale, "scale", 1, "how much work a round does, as a `FACTOR`")
	inRange(cmd.Flags(), "scale", fmt.Sprintf("more than 0 and at most %d", bench.MaxScale))
	cmd.Flags().IntVar(&cfg.Stored, "stored", 0, "how many `MESSAGES` lie in the streams of the durable rows meanwhile, such as 1000000")
	inRange(cmd.Flags(), "stored", "0 or more")
	out.add(cmd, "table")
	return cmd
}

func checkBench(cfg bench.Config) error {
	for i, row := range cfg.Rows {
		if slices.Contains(cfg.Rows[:i], row) {
			return usageError("--rows: %s stands twice; name each once", row)
		}
		if !slices.Contains(bench.Names(), row) {
			return usageError("--rows: no row %q; rows are %s", row, strings.Join(bench.Names(), ", "))
		}
	}
	if cfg.Stored < 0 {
		return usageError("--stored: %d; use 0 or more", cfg.Stored)
	}
	if cfg.Rounds < 1 {
		return usageError("--rounds: %d; use 1 or more", cfg.Rounds)
	}
	if !(cfg.Scale > 0 && cfg.Scale <= bench.MaxScale) { // NaN is in no range
		return usageError("--scale: %v; use more than 0 and at most %d", cfg.Scale, bench.MaxScale)
	}
	return nil
}

// runBench:  rows ── bench.Run ── progress on stderr, results on stdout
func (a *app) runBench(ctx context.Context, cfg bench.Config, out *output) error {
	ctx, release := a.untilSignal(ctx, func() {})
	defer release()
	bar := newProgressBars(a.stderr)
	cfg.Progress = bar.show
	results, err := bench.Run(ctx, cfg)
	bar.end()
	if err != nil && ctx.Err() != nil {
		of := len(cfg.Rows)
		if of == 0 {
			of = len(bench.Names())
		}
		err = fmt.Errorf("interrupted: %d of %d rows are measured", len(results), of)
	}
	return errors.Join(a.printResults(results, out), err)
}

// printResults prints what there is, also of a run that was cut short.
func (a *app) printResults(results []bench.Result, out *output) error {
	switch {
	case !out.forPeople():
		return out.print(a.stdout, append([]bench.Result{}, results...)) // an empty list is no null
	case len(results) == 0:
		return nil
	}
	return printBench(a.stdout, results)
}

func printBench(w io.Writer, results []bench.Result) error {
	t := newTable("ROW", "UNIT", "RAW", "DAMREY", "MIN", "MEDIAN", "MAX", "TARGET")
	var right []table.ColumnConfig
	for _, name := range []string{"RAW", "DAMREY", "MIN", "MEDIAN", "MAX", "TARGET"} {
		right = append(right, table.ColumnConfig{Name: name, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(right)
	for _, r := range results {
		target := "-"
		if r.Target > 0 {
			target = fmt.Sprintf("%.2f", r.Target)
		}
		t.AppendRow(table.Row{r.Name, r.Unit, figure(r.Raw), figure(r.Damrey),
			fmt.Sprintf("%.2f", r.Ratio.Min), fmt.Sprintf("%.2f", r.Ratio.Median), fmt.Sprintf("%.2f", r.Ratio.Max), target})
	}
	return printTable(w, t)
}

// figure has as many digits as a person reads.
func figure(v float64) string {
	if v < 1000 {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}
