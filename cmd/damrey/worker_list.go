package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

func newWorkerListCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	var out output
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the routing table",
		Long: `List the routing table: a line for every command, which says that messages of this TYPE that
NAME sends go to WORKER. MPU is what one instance may have in flight, COST what one message of the
command takes of it, AGENT the agent that the worker is pinned to, BATCH how many waiting sends may
leave in one NATS message. When some route has another than the default, ATTEMPTS, BACKOFF and WINDOW are
those of durable routes. When some worker has one, MAX_MESSAGES and MAX_BYTES are how much of durable
routes may be stored for NAME. When something is paused, PAUSED says what: the worker NAME, or the route
of this line.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return proxy.with(func(client *api.Client) error {
				list, err := client.Workers(cmd.Context())
				if err != nil {
					return err
				}
				if !out.forPeople() {
					return out.print(a.stdout, list)
				}
				return a.printWorkers(list)
			})
		},
	}
	proxy.add(cmd)
	out.add(cmd, "table")
	return cmd
}

func (a *app) printWorkers(list api.WorkerList) error {
	regs := make([]damrey.Registration, len(list.Workers))
	for i, w := range list.Workers {
		regs[i] = w.Registration
	}
	err := printRegistrations(a.stdout, regs)
	for _, d := range list.Damaged {
		fmt.Fprintf(a.stderr, "damrey: the entry %s is damaged: %s; %s\n", d.Name, d.Problem, mendEntry(d.Name))
	}
	if len(regs)+len(list.Damaged) == 0 {
		fmt.Fprintln(a.stderr, "The table is empty. Add a worker with `damrey worker add NAME --command TYPE=WORKER`.")
	}
	return err
}

// mendEntry is how to get rid of a damaged entry.
func mendEntry(name string) string {
	way := "delete it with `damrey worker del " + name + "`"
	if other := replaceEntry(name); other != "" {
		way += ", " + other
	}
	return way
}

// replaceEntry is the other way, where there is one: only what is at a worker's name can be replaced.
func replaceEntry(name string) string {
	if damrey.CheckWorkerName(name) != nil {
		return ""
	}
	return "or replace it with `damrey worker chg -f FILE`"
}
