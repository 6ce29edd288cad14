package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/picture"
)

const graphHelp = `Draw the network: workers, and the routes between them with what flows there.

  damrey graph                          a tree, for a terminal
  damrey graph --worker order           only the lines that go through one worker
  damrey graph mermaid                  for Markdown
  damrey graph dot | dot -Tpng > a.png
  damrey graph svg > network.svg

Routes of the table without traffic are there too, and traffic that the table says nothing of. A proxy
that keeps no view of the network gives the table alone.`

func newGraphCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	var worker string
	cmd := &cobra.Command{
		Use:       "graph [text|mermaid|dot|svg]",
		Short:     "Draw the network as text, mermaid, dot or svg",
		Long:      graphHelp,
		ValidArgs: []string{"text", "mermaid", "dot", "svg"},
		Args:      oneOf("text", "mermaid", "dot", "svg"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return proxy.with(func(client *api.Client) error {
				n, err := seeNetwork(cmd.Context(), client)
				if err != nil {
					return err
				}
				if n.Since.IsZero() {
					fmt.Fprintln(a.stderr, "This proxy keeps no view of the network; here is the table alone.")
				}
				return a.printGraph(n, first(args, "text"), worker)
			})
		},
	}
	proxy.add(cmd)
	cmd.Flags().StringVar(&worker, "worker", "", "only the lines that go through this `WORKER`")
	return cmd
}

// oneOf takes none or one of some words.
func oneOf(words ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		if len(args) > 1 {
			return usageError("%q is one argument too many", args[1])
		}
		e := newEnum(words...)
		if err := e.Set(args[0]); err != nil {
			return usageError("%w", err)
		}
		return nil
	}
}

// first is the first argument, or what stands for it.
func first(args []string, otherwise string) string {
	if len(args) > 0 {
		return args[0]
	}
	return otherwise
}

func (a *app) printGraph(n api.Network, form, worker string) error {
	if worker != "" {
		focused, ok := picture.Focus(n, worker)
		if !ok {
			return fmt.Errorf("there is no worker %q, neither in the table nor seen; `damrey graph` shows those that there are", worker)
		}
		n = focused
	}
	if len(n.Nodes)+len(n.Edges) == 0 {
		fmt.Fprintln(a.stderr, "The network is empty. Add a worker with `damrey worker add NAME --command TYPE=WORKER`.")
	}
	g := picture.New(n)
	draw := map[string]func() string{"text": g.Text, "mermaid": g.Mermaid, "dot": g.DOT, "svg": g.SVG}[form]
	_, err := io.WriteString(a.stdout, draw())
	return err
}

// seeNetwork is the view of the proxy, or the table alone when it keeps none. That has no Since.
func seeNetwork(ctx context.Context, client *api.Client) (api.Network, error) {
	n, err := client.Network(ctx)
	refused, ok := errors.AsType[*api.Error](err)
	if !ok || refused.Status != http.StatusNotFound {
		return n, err
	}
	list, err := client.Workers(ctx)
	if err != nil {
		return n, err
	}
	return networkOfTable(list), nil
}

func networkOfTable(list api.WorkerList) api.Network {
	n := api.Network{Nodes: []api.Node{}, Edges: []api.Edge{}}
	for _, w := range list.Workers {
		n.Nodes = append(n.Nodes, api.Node{Name: w.Name, Registered: true, Paused: w.Paused, Agent: w.Agent, MPU: w.Capacity(), Health: api.HealthIdle})
		for _, c := range w.Commands {
			delivery := string(c.Delivery)
			if delivery == "" {
				delivery = string(damrey.Direct)
			}
			n.Edges = append(n.Edges, api.Edge{
				From: w.Name, Type: c.Name, To: c.Worker, Declared: true, Delivery: delivery, Paused: c.Paused, Health: api.HealthIdle,
			})
		}
	}
	return n
}
