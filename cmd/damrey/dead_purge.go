package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey/internal/api"
)

func newDeadPurgeCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	var choice deadChoice
	cmd := &cobra.Command{
		Use:   "purge SEQ... | --all",
		Short: "Remove dead letters for good",
		Long: `Remove dead letters for good. Nothing is asked first: look with ` + "`damrey dead ls`" + ` and the same filters.

  damrey dead purge 7 9
  damrey dead purge --all --worker square --until 168h`,
		RunE: func(cmd *cobra.Command, args []string) error {
			sequences, filter, err := choice.parse(args)
			if err != nil {
				return err
			}
			return proxy.with(func(client *api.Client) error {
				return a.eachChosen(cmd.Context(), client, &choice, sequences, filter, &deadRun{
					verb: "purge", past: "purged",
					do: func(ctx context.Context, sequence uint64) (string, error) {
						return "", client.PurgeDead(ctx, sequence)
					},
				})
			})
		},
	}
	proxy.add(cmd)
	choice.add(cmd)
	return cmd
}
