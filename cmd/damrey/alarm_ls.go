package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/damrey/damrey/internal/api"
)

func newAlarmListCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	var out output
	var filter api.AlarmFilter
	var all bool
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List what is wrong, the worst state first",
		Long: `List what is wrong: firing alarms first, then pending ones, which have not been true for long enough; with --all
also those that were resolved in the last day. Of each the worst come first, then the newest. DO is what to type next. SEEN is who has acknowledged it, or why
nobody is told.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return proxy.with(func(client *api.Client) error {
				list, err := client.Alarms(cmd.Context(), filter)
				if err == nil && len(list.Alarms) == 0 {
					err = known(cmd.Context(), client, filter)
				}
				if err != nil {
					return err
				}
				if !all {
					list.Alarms = slices.DeleteFunc(list.Alarms, func(one api.Alarm) bool { return one.State == api.AlarmResolved })
				}
				if !out.forPeople() {
					return out.print(a.stdout, list)
				}
				if len(list.Alarms) == 0 {
					fmt.Fprintln(a.stderr, noAlarm(filter))
					return nil
				}
				at := fabricOf(cmd.Context(), client, proxy.address)
				return printAlarms(a.stdout, at.advised(cmd.Root(), list.Alarms))
			})
		},
	}
	proxy.add(cmd)
	cmd.Flags().StringVar(&filter.Rule, "rule", "", "only those of this `RULE`")
	cmd.Flags().StringVar(&filter.Worker, "worker", "", "only those about this `WORKER`")
	cmd.Flags().BoolVar(&all, "all", false, "those that were resolved in the last day, too")
	out.add(cmd, "table")
	return cmd
}

// noAlarm says what was looked for, so that nobody takes a part for all.
func noAlarm(f api.AlarmFilter) string {
	switch {
	case f.Rule != "" && f.Worker != "":
		return "No alarm of rule " + f.Rule + " about worker " + oneLine(f.Worker, 64) + "."
	case f.Rule != "":
		return "No alarm of rule " + f.Rule + "."
	case f.Worker != "":
		return "No alarm about worker " + oneLine(f.Worker, 64) + "."
	}
	return "Nothing is wrong."
}

func printAlarms(w io.Writer, alarms []api.Alarm) error {
	t := newTable("STATE", "SEVERITY", "SINCE", "ID", "TEXT", "DO", "SEEN")
	for _, one := range alarms {
		t.AppendRow(table.Row{one.State, one.Severity, one.Since.Local().Format(time.DateTime), oneLine(one.ID, 80), oneLine(one.Says(), 140),
			oneLine(withHint(one.Do, one.Hint), 200), orDash(seenText(one))})
	}
	return printTable(w, t)
}

// seenText is who has an alarm in hand, and why nobody is told of it.
func seenText(one api.Alarm) string {
	var parts []string
	if one.Acked != nil {
		parts = append(parts, oneLine(strings.TrimSuffix(one.Acked.By+": "+one.Acked.Why, ": "), 40))
	}
	if one.Silenced != nil {
		parts = append(parts, fmt.Sprintf("silenced until %s by %s", one.Silenced.Until.Local().Format(time.DateTime), oneLine(one.Silenced.By, 40)))
	}
	return strings.Join(parts, "; ")
}
