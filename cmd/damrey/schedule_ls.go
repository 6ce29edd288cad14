package main

import (
	"context"
	"fmt"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/damrey/damrey/internal/api"
)

func newScheduleListCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	var limit int
	var out output
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List schedules and delayed messages, the oldest first",
		Long: `List schedules and delayed messages, the oldest first. WHEN is how it was asked for; NEXT is when it is due, or now
for what came due and could not be sent yet; ERROR is why that failed the last time.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return usageError("--limit %d; use 1 or more", limit)
			}
			return proxy.with(func(client *api.Client) error {
				list, err := listSchedules(cmd.Context(), client, limit)
				if err != nil {
					return err
				}
				if !out.forPeople() {
					return out.print(a.stdout, list)
				}
				return a.printScheduleList(list)
			})
		},
	}
	proxy.add(cmd)
	cmd.Flags().IntVar(&limit, "limit", 100, "how many are listed at most")
	inRange(cmd.Flags(), "limit", "1 or more")
	out.add(cmd, "table")
	return cmd
}

// listSchedules is one list of up to limit schedules, however many answers it takes.
func listSchedules(ctx context.Context, client *api.Client, limit int) (api.ScheduleList, error) {
	all := api.ScheduleList{Schedules: []api.Schedule{}}
	for after := uint64(0); ; {
		page, err := client.Schedules(ctx, api.ScheduleFilter{Limit: min(limit-len(all.Schedules), api.MaxSchedules), After: after})
		if err != nil {
			return all, err
		}
		all.Schedules = append(all.Schedules, page.Schedules...)
		all.Next, all.Total = page.Next, page.Total
		if after = page.Next; after == 0 || len(all.Schedules) >= limit {
			return all, nil
		}
	}
}

func (a *app) printScheduleList(list api.ScheduleList) (err error) {
	if len(list.Schedules) > 0 {
		err = printSchedules(a.stdout, list.Schedules)
	}
	switch {
	case list.Next > 0:
		fmt.Fprintf(a.stderr, "There may be more, of %d in all; --limit lists more of them.\n", list.Total)
	case len(list.Schedules) == 0:
		fmt.Fprintln(a.stderr, "Nothing is scheduled.")
	}
	return err
}

func printSchedules(w io.Writer, all []api.Schedule) error {
	t := newTable("ID", "FROM", "TYPE", "WHEN", "NEXT", "ERROR", "MESSAGE")
	for _, s := range all {
		t.AppendRow(table.Row{oneLine(s.ID, 40), orDash(s.From), orDash(s.Type), orDash(oneLine(s.Asked, 40)), dueText(s),
			orDash(oneLine(s.Error, 60)), oneLine(payloadText(s.Message, s.Text, s.Size), 60)})
	}
	return printTable(w, t)
}
