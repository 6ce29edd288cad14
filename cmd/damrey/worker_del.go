package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

func newWorkerDelCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	cmd := &cobra.Command{
		Use:     "del NAME",
		Aliases: []string{"rm", "delete"},
		Short:   "Delete a worker's entry; its instances drain and wait",
		Long: `Delete a worker's entry. Its instances finish what they have and wait until it is added again.
Nothing is asked first: the entry can be added again as it was.`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := damrey.CheckWorkerName(args[0]); err != nil {
				return usageError("%w", err)
			}
			return proxy.with(func(client *api.Client) error {
				if err := client.Delete(cmd.Context(), args[0], nil); err != nil {
					return err
				}
				_, err := fmt.Fprintf(a.stdout, "deleted %s\n", args[0])
				return err
			})
		},
		ValidArgsFunction: proxy.completeWorkers(a),
	}
	proxy.add(cmd)
	cmd.Flags().BoolP("yes", "y", false, "do not ask; nothing is asked anyway, scripts may say so")
	return cmd
}
