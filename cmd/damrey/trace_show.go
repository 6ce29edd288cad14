package main

import (
	"encoding/hex"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey/internal/api"
)

func newTraceShowCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	var out output
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show one trace as a waterfall, with its slowest span",
		Args:  exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if id, err := hex.DecodeString(args[0]); err != nil || len(id) != 16 {
				return usageError("ID %q is no trace id, which has 32 hexadecimal digits; `damrey trace ls` shows them", oneLine(args[0], 40))
			}
			return proxy.with(func(client *api.Client) error {
				trace, err := client.Trace(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if !out.forPeople() {
					return out.print(a.stdout, trace)
				}
				return a.printTrace(trace)
			})
		},
	}
	proxy.add(cmd)
	out.add(cmd, "table")
	return cmd
}
