package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey/internal/api"
)

func newDeadRetryCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	var choice deadChoice
	var limit rate
	cmd := &cobra.Command{
		Use:   "retry SEQ... | --all",
		Short: "Send dead letters along the routes of today, and remove them",
		Long: `Send dead letters along the routes that their senders have for them today, the oldest first, with all
attempts before them again. Nobody gets their answers any more.

  damrey dead retry 7 9
  damrey dead retry --all --worker square --since 1h --rate 50/s

A letter is removed when its message is stored again, or when an instance took it on a direct route.
One whose route is gone, or that nobody takes, stays, and so does one whose direct route or its worker is
paused; why is said at the end, and the exit code is 1 then.
A message that fails again becomes a new letter, which this call does not take up again.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			sequences, filter, err := choice.parse(args)
			if err != nil {
				return err
			}
			return proxy.with(func(client *api.Client) error {
				return a.eachChosen(cmd.Context(), client, &choice, sequences, filter, &deadRun{
					verb: "retry", past: "retried", pause: limit.pause,
					do: func(ctx context.Context, sequence uint64) (string, error) {
						done, err := client.RetryDead(ctx, sequence)
						return fmt.Sprintf(" along %s (%s)", done.Route, done.Delivery), err
					},
				})
			})
		},
	}
	proxy.add(cmd)
	choice.add(cmd)
	cmd.Flags().Var(&limit, "rate", "at most so many letters a second, as `N/s` (default: as fast as it goes)")
	return cmd
}
