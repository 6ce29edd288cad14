package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey/internal/api"
)

// proxyFlag says which proxy a verb speaks to.
type proxyFlag struct{ address string }

func (p *proxyFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.address, "proxy", "127.0.0.1:8080", "address of the proxy, ip[:port] or a URL, commas between several; the port is 8080 unless it says another")
}

// with gives a verb a client of the proxy. An address that is none is a wrong call.
func (p *proxyFlag) with(do func(*api.Client) error) error {
	client, err := api.New(p.address)
	if err != nil {
		return usageError("--%w", err)
	}
	defer client.Close()
	return do(client)
}

// completeWorkers offers the names of the table to the shell; a proxy that cannot be asked offers none. The shell asks
// without running the verb, so that the environment has not been read.
func (p *proxyFlag) completeWorkers(a *app) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
		defer cancel()
		ask := func(client *api.Client) error {
			list, err := client.Workers(ctx)
			for _, w := range list.Workers {
				names = append(names, w.Name)
			}
			return err
		}
		if a.readEnvironment(cmd) != nil || p.with(ask) != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// advise puts the refusals that have an obvious answer into the words of this program.
func advise(err error, name string) error {
	refused, ok := errors.AsType[*api.Error](err)
	if !ok || refused.Problem.Type == api.TypeDamaged || refused.Problem.Type == api.TypeAbsent {
		return err // the proxy has said what to type
	}
	switch refused.Status {
	case http.StatusPreconditionFailed:
		return fmt.Errorf("somebody else changed %q meanwhile; look again with `damrey worker get %s`, then repeat", name, name)
	case http.StatusConflict:
		return fmt.Errorf("worker %q is registered already; change it with `damrey worker chg %s`", name, name)
	}
	return err
}
