package main

import (
	"fmt"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/damrey/damrey/internal/api"
)

const silenceHelp = `Keep alarms from being told for a while. They are still listed. What still fires when the silence ends is told then.

  damrey alarm silence add --worker square --for 2h --why "moving house"
  damrey alarm silence add --rule slow --until 2026-12-24T18:00:00+01:00 --why "backup is running"
  damrey alarm silence ls
  damrey alarm silence rm ID`

func newAlarmSilenceCommand(a *app) *cobra.Command {
	cmd := newGroupCommand("silence", "Keep alarms from being told for a while", silenceHelp)
	cmd.AddCommand(newSilenceAddCommand(a), newSilenceListCommand(a), newSilenceRemoveCommand(a))
	return cmd
}

func newSilenceAddCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	var out output
	var who whoFlag
	var s api.Silence
	var length time.Duration
	var until string
	var all bool
	cmd := &cobra.Command{
		Use:   "add --why TEXT --for DURATION",
		Short: "Keep alarms of a rule, of a worker or all from being told for a while",
		Long:  silenceHelp,
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if s.Rule == "" && s.Worker == "" && !all {
				return usageError("say what is silenced: --rule RULE, --worker WORKER, both, or --all")
			}
			if s.Why == "" {
				return usageError("--why is missing; say to others why they are not told")
			}
			if s.Until, err = silenceEnd(length, cmd.Flags().Changed("for"), until); err != nil {
				return err
			}
			s.By = who.value(a)
			return proxy.with(func(client *api.Client) error {
				stored, err := client.AddSilence(cmd.Context(), s)
				if err != nil {
					return err
				}
				if !out.forPeople() {
					return out.print(a.stdout, stored)
				}
				fmt.Fprintf(a.stdout, "%s until %s\n", stored.ID, stored.Until.Local().Format(time.DateTime))
				return nil
			})
		},
	}
	proxy.add(cmd)
	who.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&s.Rule, "rule", "", "only alarms of this `RULE`")
	flags.StringVar(&s.Worker, "worker", "", "only alarms about this `WORKER`")
	flags.BoolVar(&all, "all", false, "all alarms")
	flags.StringVar(&s.Why, "why", "", "`TEXT`: why nobody is told")
	flags.DurationVar(&length, "for", 0, "how long, such as 2h")
	flags.StringVar(&until, "until", "", "until this `TIME`, such as 2026-01-02T15:04:05Z")
	cmd.MarkFlagsMutuallyExclusive("for", "until")
	cmd.MarkFlagsMutuallyExclusive("all", "rule")
	cmd.MarkFlagsMutuallyExclusive("all", "worker")
	out.add(cmd, "text")
	return cmd
}

func silenceEnd(length time.Duration, given bool, until string) (time.Time, error) {
	if until != "" {
		at, err := time.Parse(time.RFC3339, until)
		if err != nil {
			return at, usageError("--until: %q is no time; use one such as 2026-01-02T15:04:05Z", until)
		}
		return at, nil
	}
	if given && length <= 0 {
		return time.Time{}, usageError("--for %v; use more than 0, such as 2h", length)
	}
	if !given {
		return time.Time{}, usageError("say how long, --for 2h or --until TIME")
	}
	return time.Now().Add(length), nil
}

func newSilenceListCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	var out output
	cmd := &cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "List the silences, the one that ends first at the top", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return proxy.with(func(client *api.Client) error {
				list, err := client.Silences(cmd.Context())
				if err != nil {
					return err
				}
				if !out.forPeople() {
					return out.print(a.stdout, list)
				}
				if len(list.Silences) == 0 {
					fmt.Fprintln(a.stderr, "Nothing is silenced.")
					return nil
				}
				t := newTable("ID", "RULE", "WORKER", "UNTIL", "BY", "WHY")
				for _, s := range list.Silences {
					t.AppendRow(table.Row{oneLine(s.ID, 40), orAny(s.Rule), orAny(s.Worker), s.Until.Local().Format(time.DateTime), oneLine(s.By, 40), oneLine(s.Why, 80)})
				}
				return printTable(a.stdout, t)
			})
		},
	}
	proxy.add(cmd)
	out.add(cmd, "table")
	return cmd
}

func orAny(s string) string {
	if s == "" {
		return "any"
	}
	return s
}

func newSilenceRemoveCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	cmd := &cobra.Command{
		Use: "rm ID...", Aliases: []string{"del"}, Short: "End silences; what fires is told then",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError("ID is missing; `damrey alarm silence ls` shows them")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return proxy.with(func(client *api.Client) error {
				return a.removeEach(args, func(id string) error { return client.DeleteSilence(cmd.Context(), id) })
			})
		},
	}
	proxy.add(cmd)
	return cmd
}
