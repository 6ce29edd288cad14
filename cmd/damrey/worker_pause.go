package main

import (
	"github.com/spf13/cobra"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

func newWorkerPauseCommand(a *app) *cobra.Command {
	return newPauseWorkerCommand(a, true, &cobra.Command{
		Use:   "pause NAME",
		Short: "Hold back what is sent to a worker, until it is resumed",
		Long: `Hold back what is sent to a worker, until it is resumed. Its instances go on running and follow at once:

  messages of durable routes   wait at the broker; those that an instance has in hand are finished
  requests on direct routes    get an ERROR with the code paused
  sends on direct routes       are refused, counted and logged by the instance that gets them

What the worker sends by itself goes on. A worker without the library does not know that it is paused; what comes
through the bridge is refused for it. That it is paused already is no error.

  damrey worker pause bank
  damrey worker list            shows it under PAUSED
  damrey worker resume bank`,
	})
}

func newWorkerResumeCommand(a *app) *cobra.Command {
	return newPauseWorkerCommand(a, false, &cobra.Command{
		Use:   "resume NAME",
		Short: "Let a paused worker receive again",
		Long: `Let a paused worker receive again. What waits at the broker is handled, the oldest first. That it is not paused is
no error.`,
	})
}

func newPauseWorkerCommand(a *app, paused bool, cmd *cobra.Command) *cobra.Command {
	var proxy proxyFlag
	cmd.Args = exactly("NAME")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := damrey.CheckWorkerName(args[0]); err != nil {
			return usageError("%w", err)
		}
		return proxy.with(func(client *api.Client) error {
			return a.setPaused(cmd.Context(), client, pausing{
				paused: paused, worker: args[0], what: args[0],
				flag: func(reg *damrey.Registration) (*bool, error) { return &reg.Paused, nil },
			})
		})
	}
	cmd.ValidArgsFunction = proxy.completeWorkers(a)
	proxy.add(cmd)
	return cmd
}
