package main

import (
	"encoding/json"
	"maps"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

func newWorkerGetCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	var out output
	cmd := &cobra.Command{
		Use:   "get NAME",
		Short: "Show one worker's entry",
		Long: `Show one worker's entry. With -o json or yaml it carries its revision, and ` + "`damrey worker chg -f`" + `
stores it only if nobody else changed it meanwhile.`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := damrey.CheckWorkerName(args[0]); err != nil {
				return usageError("%w", err)
			}
			return proxy.with(func(client *api.Client) error {
				reg, revision, err := client.Worker(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if !out.forPeople() {
					return out.print(a.stdout, withRevision(reg, revision))
				}
				return printRegistrations(a.stdout, []damrey.Registration{reg})
			})
		},
		ValidArgsFunction: proxy.completeWorkers(a),
	}
	proxy.add(cmd)
	out.add(cmd, "table")
	return cmd
}

func withRevision(reg damrey.Registration, revision uint64) damrey.Registration {
	extra := maps.Clone(reg.Extra)
	if extra == nil {
		extra = make(map[string]json.RawMessage, 1)
	}
	extra[api.FieldRevision] = strconv.AppendUint(nil, revision, 10)
	reg.Extra = extra
	return reg
}
