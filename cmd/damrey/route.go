package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/shell"
)

const routeHelp = `Hold back the messages of one type that a worker sends, and let them go again:

  damrey route pause entry log
  damrey route resume entry log`

func newRouteCommand(a *app) *cobra.Command {
	cmd := newGroupCommand("route", "Pause a route and resume it", routeHelp)
	cmd.AddCommand(newRoutePauseCommand(a), newRouteResumeCommand(a))
	return cmd
}

func newRoutePauseCommand(a *app) *cobra.Command {
	return newPauseRouteCommand(a, true, &cobra.Command{
		Use:   "pause FROM TYPE",
		Short: "Hold messages of a route back, until it is resumed",
		Long: `Hold messages of a route back, until it is resumed. The instances of FROM follow at once. Direct: their requests get
an ERROR with the code paused, their sends an error. Durable: what they send is stored and waits; what was stored before
is still handled. What has left is not called back. TYPE '*' is the default route, of the types that have none of their
own. That it is paused already is no error.

With a key, what is sent right after the resumption waits until all that was stored meanwhile has gone on, so that the
order holds.

  damrey route pause entry log
  damrey worker list            shows it under PAUSED
  damrey route resume entry log`,
	})
}

func newRouteResumeCommand(a *app) *cobra.Command {
	return newPauseRouteCommand(a, false, &cobra.Command{
		Use:   "resume FROM TYPE",
		Short: "Let messages of a paused route go again",
		Long:  `Let messages of a paused route go again. That it is not paused is no error.`,
	})
}

func newPauseRouteCommand(a *app, paused bool, cmd *cobra.Command) *cobra.Command {
	var proxy proxyFlag
	cmd.Args = exactly("FROM", "TYPE")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		from, typ := args[0], args[1]
		if err := damrey.CheckWorkerName(from); err != nil {
			return usageError("FROM: %w", err)
		}
		if err := damrey.CheckName(typ); err != nil && typ != "*" {
			return usageError("TYPE: %w", err)
		}
		return proxy.with(func(client *api.Client) error {
			return a.setPaused(cmd.Context(), client, pausing{
				paused: paused, worker: from, what: "the route " + from + "→" + typ,
				flag: func(reg *damrey.Registration) (*bool, error) { return pausedOf(reg, typ) },
			})
		})
	}
	cmd.ValidArgsFunction = proxy.completeWorkers(a)
	proxy.add(cmd)
	return cmd
}

// pausedOf is the mark of the route of a type.
func pausedOf(reg *damrey.Registration, typ string) (*bool, error) {
	i := slices.IndexFunc(reg.Commands, func(c damrey.Command) bool { return c.Name == typ })
	if i < 0 {
		return nil, noSuchRoute(reg, typ)
	}
	c := &reg.Commands[i]
	return &c.Paused, nil
}

func noSuchRoute(reg *damrey.Registration, typ string) error {
	if len(reg.Commands) == 0 {
		return fmt.Errorf("worker %q has no command %q, it has none; add it with `damrey worker chg %s --command %s=WORKER`",
			reg.Name, typ, reg.Name, shell.Word(typ))
	}
	types := make([]string, len(reg.Commands))
	for i, c := range reg.Commands {
		types[i] = c.Name
	}
	advice := fmt.Sprintf("`damrey worker get %s` shows where they lead", reg.Name)
	if slices.Contains(types, "*") {
		advice = fmt.Sprintf("this type takes the default route; name that one with '*', "+
			"or give the type its own with `damrey worker chg %s --command %s=WORKER`", reg.Name, typ)
	}
	return fmt.Errorf("worker %q has no command %q, it has %s; %s", reg.Name, typ, strings.Join(types, ", "), advice)
}
