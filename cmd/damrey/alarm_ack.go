package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey/internal/api"
)

func newAlarmAckCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	var who whoFlag
	var why string
	var remove bool
	cmd := &cobra.Command{
		Use:   "ack ID...",
		Short: "Say that you take care of alarms",
		Long: `Say that you take care of alarms: others see who, why and since when, until the alarm is resolved. It stays firing;
to keep others from being told, silence it. A route in an ID may be written from.type.to.

  damrey alarm ack no_instance:square --why "machine is rebooting"
  damrey alarm ack no_instance:square --remove`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError("ID is missing; `damrey alarm ls` shows them")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			do, done := func(ctx context.Context, client *api.Client, id string) error {
				_, err := client.AckAlarm(ctx, id, api.Ack{By: who.value(a), Why: why})
				return err
			}, "acknowledged"
			if remove {
				do, done = func(ctx context.Context, client *api.Client, id string) error { return client.UnackAlarm(ctx, id) }, "no longer acknowledged"
			}
			return proxy.with(func(client *api.Client) error {
				var failed []error
				for _, id := range args {
					if err := do(cmd.Context(), client, id); err != nil {
						failed = append(failed, err)
						continue
					}
					fmt.Fprintf(a.stdout, "%s %s\n", done, oneLine(id, 80))
				}
				return errors.Join(failed...)
			})
		},
	}
	proxy.add(cmd)
	who.add(cmd)
	cmd.Flags().StringVar(&why, "why", "", "`TEXT`: what is done about it")
	cmd.Flags().BoolVar(&remove, "remove", false, "take the acknowledgement back")
	cmd.MarkFlagsMutuallyExclusive("remove", "why")
	return cmd
}
