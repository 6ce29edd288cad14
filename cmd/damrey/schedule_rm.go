package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

func newScheduleRemoveCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	cmd := &cobra.Command{
		Use:     "rm ID...",
		Aliases: []string{"del"},
		Short:   "Remove schedules, and take back delayed messages",
		Long: `Remove schedules, and take back delayed messages. What is being sent in that very moment is not called back.

  damrey schedule rm nightly beat`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError("ID is missing; `damrey schedule ls` shows them")
			}
			for _, id := range args {
				if err := damrey.CheckScheduleID(id); err != nil {
					return usageError("ID: %w", err)
				}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return proxy.with(func(client *api.Client) error {
				return a.removeEach(args, func(id string) error { return client.DeleteSchedule(cmd.Context(), id) })
			})
		},
	}
	proxy.add(cmd)
	return cmd
}

// removeEach removes all that can be, and says what cannot.
func (a *app) removeEach(ids []string, remove func(id string) error) error {
	var failed []error
	for _, id := range ids {
		if err := remove(id); err != nil {
			failed = append(failed, err)
			continue
		}
		fmt.Fprintf(a.stdout, "removed %s\n", oneLine(id, 80))
	}
	return errors.Join(failed...)
}
