package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

func newWorkerDelCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	var jobs string
	cmd := &cobra.Command{
		Use:     "del NAME",
		Aliases: []string{"rm", "delete"},
		Short:   "Delete a worker's entry; its instances drain and wait",
		Long: `Delete a worker's entry. Its instances finish what they have and wait until it is added again.
Nothing is asked first: the entry can be added again as it was. While messages of durable routes are stored for the
worker, it is refused; with --jobs keep they stay until the worker is added again, with --jobs dead they become dead
letters, which you can retry or purge. The latter waits until all are: those in the hands of instances and those that
wait for their next attempt take 10 seconds or more. Interrupted, the same command goes on.`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkDeletable(args[0]); err != nil {
				return err
			}
			if jobs != "" && jobs != "keep" && jobs != "dead" {
				return usageError("--jobs %q: use keep or dead", jobs)
			}
			return proxy.with(func(client *api.Client) error {
				if jobs == "dead" {
					return a.deleteBuryingJobs(cmd.Context(), client, args[0])
				}
				err := deleteEntry(cmd.Context(), client, args[0], jobs)
				if err != nil {
					return err
				}
				if _, err = fmt.Fprintf(a.stdout, "deleted %s\n", args[0]); err != nil {
					return fmt.Errorf("deleted %s, but that could not be printed: %w", args[0], err)
				}
				return nil
			})
		},
		ValidArgsFunction: proxy.completeWorkers(a),
	}
	proxy.add(cmd)
	cmd.Flags().StringVar(&jobs, "jobs", "", "what becomes of messages that are stored for it: `keep|dead`")
	cmd.Flags().BoolP("yes", "y", false, "do not ask; nothing is asked anyway, scripts may say so")
	return cmd
}

// checkDeletable lets every name pass under which something may be stored; the proxy knows what is.
func checkDeletable(name string) error {
	switch err := damrey.CheckWorkerName(name); {
	case name == "":
		return usageError("NAME is empty; `damrey worker list` shows the names")
	case err != nil && (strings.ContainsAny(name, " *>") || slices.Contains(strings.Split(name, "."), "")):
		return usageError("%w", err)
	}
	return nil
}

func deleteEntry(ctx context.Context, client *api.Client, name, jobs string) error {
	if jobs == "keep" {
		return client.DeleteKeepingJobs(ctx, name)
	}
	return client.Delete(ctx, name, nil)
}

// deleteBuryingJobs asks again until all stored messages are dead letters.
func (a *app) deleteBuryingJobs(ctx context.Context, client *api.Client, name string) error {
	ctx, release := a.untilSignal(ctx, func() {})
	defer release()
	bar := newProgressBars(a.stderr)
	moved, left, err := client.DeleteBuryingJobs(ctx, name)
	for err == nil && left > 0 {
		bar.show("bury", int(moved), int(moved+left))
		moved, left, err = client.DeleteBuryingJobs(ctx, name)
	}
	bar.end()
	if err != nil && moved+left > 0 {
		return fmt.Errorf("deleted %s, but of its messages %d are not dead letters yet: %w; the same command goes on", name, left, err)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "deleted %s; %s of it\n", name, becameDead(moved))
	return err
}

func becameDead(n uint64) string {
	if n == 1 {
		return "1 dead letter was made"
	}
	return fmt.Sprintf("%d dead letters were made", n)
}
