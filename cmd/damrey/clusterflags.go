package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey/broker"
	"github.com/damrey/damrey/internal/bucket"
)

// clusterReplicas is how many copies a cluster has of everything, when it is not said.
const clusterReplicas = 3

// clusterFlags are those of a `damrey proxy` that is one of several.
type clusterFlags struct {
	name     string // of the cluster; empty: the proxy is alone
	node     string
	port     port
	told     string // of routes
	routes   []string
	replicas int
}

func (c *clusterFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&c.name, "cluster", "", "`NAME` of the cluster that this proxy's broker forms with those of --routes")
	flags.StringVar(&c.node, "name", "", "`NODE`, this proxy's own name in the cluster, which it keeps for ever (default: the host's name)")
	c.port = 6222
	flags.Var(&c.port, "cluster-port", "port for the other brokers of the cluster; 0 picks a free one")
	flags.StringVar(&c.told, "cluster-advertise", "", "`HOST:PORT` that the other brokers are told to reach this one at, where a port mapping stands before it (default: --advertise and --cluster-port)")
	flags.StringSliceVar(&c.routes, "routes", nil, "`HOST:PORT,...` of the brokers of the cluster, this one too if you like; the port is 6222 unless it says another")
	flags.IntVar(&c.replicas, "replicas", 0, "copies of the table and of what is stored, each on another broker: 1, 3 or 5 (default 3 in a --cluster)")
	inRange(flags, "replicas", "1, 3 or 5")
}

// check looks at the values alone. external: there is no broker inside.
func (c *clusterFlags) check(cmd *cobra.Command, f *proxyFlags, external bool) error {
	if cmd.Flags().Changed("replicas") {
		if err := bucket.CheckReplicas(c.replicas); err != nil {
			return usageError("--replicas: %w", err)
		}
	}
	if c.name == "" {
		for _, name := range []string{"routes", "cluster-port", "cluster-advertise", "name"} {
			if cmd.Flags().Changed(name) {
				return usageError("--%s is for one of several brokers; name their cluster with --cluster", name)
			}
		}
		if !external && c.replicas > 1 {
			return usageError("--replicas %d: a broker alone has one copy of everything; make it one of a cluster with --cluster and --routes", c.replicas)
		}
		return nil
	}
	if len(c.routes) == 0 {
		return usageError("--cluster %s needs --routes HOST:PORT,… of its brokers, such as --routes 10.1.2.1,10.1.2.2,10.1.2.3", c.name)
	}
	if f.memory {
		return usageError("--memory: one of a cluster that forgets what it has acknowledged would lose it for all; give it a directory with --data")
	}
	if f.advertise == "" && isWildcard(f.host) {
		return usageError("--host %s with --cluster: the others cannot be told to connect there; type --advertise HOST too, or a --host that they reach", f.host)
	}
	return c.complete()
}

// complete finds the node's name and the number of copies.
func (c *clusterFlags) complete() error {
	if c.replicas == 0 {
		c.replicas = clusterReplicas
	}
	if c.node != "" {
		return nil
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("the host's name, for the node's, cannot be found: %w; give one with --name", err)
	}
	c.node = host
	return nil
}

// fill puts the cluster into what is run.
func (c *clusterFlags) fill(cfg *fabricConfig, advertise string) {
	cfg.Proxy.Replicas = c.replicas
	if c.name == "" {
		return
	}
	cfg.Proxy.Node = c.node
	cfg.Broker.Name = c.node
	cfg.Broker.Cluster = broker.Cluster{Name: c.name, Port: c.port.forNATS(), Advertise: advertise, AdvertiseRoutes: c.told}
	for _, route := range c.routes {
		cfg.Broker.Cluster.Routes = append(cfg.Broker.Cluster.Routes, strings.TrimSpace(route))
	}
}
