package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

func newScheduleAddCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	var out output
	var s api.NewSchedule
	cmd := &cobra.Command{
		Use:   "add ID TYPE [ARG]...",
		Short: "Send a message later, once or again and again",
		Long: `Send a message of TYPE along the route of --from later: once with --at or --in, again and again with --every or
--cron. The proxy stores it at the broker, so that it comes due whatever stops meanwhile; times that passed
while the broker was down are made up for by one. To add the same again changes nothing.

  damrey schedule add nightly --from shop --cron '0 2 * * *' --tz Europe/Berlin pay all
  damrey schedule add beat --from shop --every 30s pay 1
  damrey schedule add once --from shop --at 2030-12-24T18:00:00+01:00 pay "light the candles"

--cron takes minute, hour, day of month, month and day of week, with the second before them if there are six
fields, or a name such as @daily. Put -- before arguments that begin with -.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usageError("%s is missing", []string{"ID TYPE", "TYPE"}[len(args)])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			s.ID, s.Type, s.Args = args[0], args[1], args[2:]
			if err := checkNewSchedule(cmd, &s); err != nil {
				return err
			}
			return proxy.with(func(client *api.Client) error {
				stored, err := client.AddSchedule(cmd.Context(), s)
				if err != nil {
					return err
				}
				if !out.forPeople() {
					return out.print(a.stdout, stored)
				}
				fmt.Fprintf(a.stdout, "%s is due %s\n", oneLine(stored.ID, 80), dueText(stored))
				return nil
			})
		},
	}
	proxy.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&s.From, "from", "", "the `WORKER` along whose route it goes")
	flags.StringVar(&s.Cron, "cron", "", "again and again, by a `PATTERN` of cron such as '0 8 * * 1-5'")
	flags.StringVar(&s.TimeZone, "tz", "", "time `ZONE` of --cron, such as Europe/Berlin (default: UTC)")
	flags.StringVar(&s.Every, "every", "", "again and again after this `DURATION`, in whole seconds, such as 5m")
	flags.StringVar(&s.At, "at", "", "once at this `TIME`, such as 2026-01-02T15:04:05Z")
	flags.StringVar(&s.In, "in", "", "once after this `DURATION`, such as 10m")
	out.add(cmd, "text")
	return cmd
}

// checkNewSchedule finds wrong calls before the proxy is asked; what it says of patterns and times is for it to say.
func checkNewSchedule(cmd *cobra.Command, s *api.NewSchedule) error {
	if err := damrey.CheckScheduleID(s.ID); err != nil {
		return usageError("ID: %w", err)
	}
	if err := damrey.CheckName(s.Type); err != nil {
		return usageError("TYPE: %w", err)
	}
	if s.From == "" {
		return usageError("--from is missing; name the worker along whose route the message goes")
	}
	if err := damrey.CheckWorkerName(s.From); err != nil {
		return usageError("--from: %w", err)
	}
	var given []string
	for _, name := range []string{"cron", "every", "at", "in"} {
		if cmd.Flags().Changed(name) {
			given = append(given, "--"+name)
		}
	}
	switch {
	case len(given) == 0:
		return usageError("say when it is sent: --every 5m, --cron '0 8 * * *', --at TIME or --in 10m")
	case len(given) > 1:
		return usageError("%s and %s: give one of them", given[0], given[1])
	case s.TimeZone != "" && s.Cron == "":
		return usageError("--tz is for --cron; %s does not take one", given[0])
	}
	return nil
}

// dueText is when a schedule is due, for people.
func dueText(s api.Schedule) string {
	if s.Next == nil {
		return "now"
	}
	return s.Next.Local().Format(time.DateTime)
}
