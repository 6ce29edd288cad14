package main

import (
	"fmt"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/damrey/damrey/internal/api"
)

func newTraceListCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	var filter api.TraceFilter
	var since moment
	var out output
	outcome := newEnum("any", "ok", "error", "timeout", "stop")
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List the last traces, the newest first",
		Long: `List the last traces, the newest first. KEPT says why one is there: it was asked for with damrey trace,
sampled, or it failed or was slow: of those without a trace only the requester and the hops that failed or were slow are there.
OUTCOME is running as long as spans come and no handler has told yet of a message of it; --outcome goes by how it looks until now.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if filter.Limit < 1 || filter.Limit > 1000 {
				return usageError("--limit %d; use 1 to 1000", filter.Limit)
			}
			filter.Since = since.time()
			if outcome.value != "any" {
				filter.Outcome = outcome.value
			}
			return proxy.with(func(client *api.Client) error {
				list, err := client.Traces(cmd.Context(), filter)
				if err != nil {
					return err
				}
				if !out.forPeople() {
					return out.print(a.stdout, list)
				}
				return a.printTraces(list)
			})
		},
	}
	proxy.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&filter.Route, "route", "", "only traces along this `ROUTE`, from→type→to or from.type.to where * is any, or over this worker")
	flags.Var(&outcome, "outcome", "only traces that ended so")
	flags.Var(&since, "since", "only traces since then: a duration such as 10m, or a time in RFC 3339")
	flags.IntVar(&filter.Limit, "limit", 50, "how many traces are listed at most")
	inRange(flags, "limit", "1 to 1000")
	out.add(cmd, "table")
	return cmd
}

func (a *app) printTraces(list api.TraceList) error {
	if !list.LookedSince.IsZero() {
		fmt.Fprintf(a.stderr, "Only spans since %s were looked at.\n", list.LookedSince.Local().Format(time.DateTime))
	}
	if len(list.Traces) == 0 {
		fmt.Fprintln(a.stderr, "There are no such traces; make one with `damrey trace FROM TYPE`, or sample some with damrey.WithTraceSampling.")
		return nil
	}
	t := newTable("ID", "TIME", "ROUTE", "OUTCOME", "TOOK", "SPANS", "KEPT")
	t.SetColumnConfigs([]table.ColumnConfig{
		{Name: "TOOK", Align: text.AlignRight, AlignHeader: text.AlignRight},
		{Name: "SPANS", Align: text.AlignRight, AlignHeader: text.AlignRight},
	})
	for _, h := range list.Traces {
		t.AppendRow(table.Row{h.ID, h.Begin.Local().Format(time.DateTime), oneLine(routeText(h.Route), 200), stateText(h), shortMS(h.Duration), h.Spans, h.Kept})
	}
	return printTable(a.stdout, t)
}
