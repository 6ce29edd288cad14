package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

const proxyHelp = `Run the proxy: it keeps the routing table and serves it over REST, with the broker that all
messages meet at inside, or in front of a NATS server or cluster that runs already.

  damrey proxy -p 8080 --nats-port 4222 --leaf-port 7422 --data /var/lib/damrey
  damrey proxy --cluster damrey --routes 10.1.2.1,10.1.2.2,10.1.2.3 --host 10.1.2.1 --insecure
  damrey proxy -p 8080 --nats nats://10.1.2.9:4222 --creds damrey.creds --leaf nats-leaf://10.1.2.9:7422

When all is there it prints its addresses and ` + "`ready`" + `; one of a cluster waits for a majority of it before.

  --nats not given:   proxy ── broker (NATS with JetStream, in this process)
  --cluster NAME:     proxy ── broker ══ the brokers of the other proxies: three machines, of which one may fail
  --nats URL:         proxy ── your NATS; it needs JetStream, and for agents a JetStream domain and --leaf`

// proxyFlags are those of `damrey proxy` alone.
type proxyFlags struct {
	fabricFlags
	external natsFlags
	cluster  clusterFlags
	leafURLs []string
	memory   bool
}

func newProxyCommand(a *app) *cobra.Command {
	var f proxyFlags
	cmd := &cobra.Command{
		Use:   "proxy",
		Short: "Run the proxy, with the broker inside or in front of an external NATS",
		Long:  proxyHelp,
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			if err := f.chooseData(a); err != nil {
				return err
			}
			return a.runProxy(cmd.Context(), &f)
		},
	}
	f.add(cmd)
	f.external.add(cmd)
	f.cluster.add(cmd)
	flags := cmd.Flags()
	flags.Lookup("nats").Usage = "`URL` of an external NATS server or cluster to use instead of the broker inside"
	flags.StringArrayVar(&f.leafURLs, "leaf", nil, "`URL` where agents reach the external NATS; may be repeated")
	flags.StringVar(&f.data, "data", "", "`DIR` of the broker's data (default $XDG_DATA_HOME/damrey/proxy)")
	flags.BoolVar(&f.memory, "memory", false, "keep nothing: the table is gone when the proxy ends")
	for _, own := range []string{"nats-port", "leaf-port", "data", "memory", "sync", "cluster", "routes", "cluster-port", "cluster-advertise", "name"} {
		cmd.MarkFlagsMutuallyExclusive("nats", own)
	}
	cmd.MarkFlagsMutuallyExclusive("data", "memory")
	return cmd
}

func (f *proxyFlags) check(cmd *cobra.Command) error {
	external := f.external.config.URL != ""
	if !external {
		for _, name := range []string{"creds", "nkey", "token", "ca", "cert", "leaf"} {
			if cmd.Flags().Changed(name) {
				return usageError("--%s is for an external NATS; name it with --nats", name)
			}
		}
	}
	if !external && (f.external.config.User == "") != (f.external.config.Password == "") {
		return usageError("--user and --password of the broker inside: give both or none")
	}
	for _, leaf := range f.leafURLs {
		if err := checkServer("--leaf", leaf, true, "nats-leaf://10.1.2.9:7422", "nats-leaf", "nats", "tls", "ws", "wss"); err != nil {
			return err
		}
	}
	if err := f.external.check(); err != nil {
		return err
	}
	if err := f.cluster.check(cmd, f, external); err != nil {
		return err
	}
	return f.fabricFlags.check(external)
}

// chooseData finds the directory of the broker's data; none for an external NATS.
func (f *proxyFlags) chooseData(a *app) (err error) {
	if f.data == "" && !f.memory && f.external.config.URL == "" {
		f.data, err = a.dataDir("proxy")
	}
	return err
}

func (a *app) runProxy(ctx context.Context, f *proxyFlags) error {
	cfg := f.config(a)
	if err := f.alarms.fill(a, &cfg.Proxy); err != nil {
		return err
	}
	cfg.LeafURLs = f.leafURLs
	if f.external.config.URL != "" {
		cfg.NATS = f.external.config
		cfg.NATS.Name, cfg.NATS.Log = "damrey-proxy", a.log
	} else {
		cfg.Broker.User, cfg.Broker.Password = f.external.config.User, f.external.config.Password
	}
	f.cluster.fill(&cfg, f.advertise)
	ctx, release := a.untilStopped(ctx, func() {})
	defer release()
	g := newGroup(ctx)
	running, err := startFabric(ctx, g, cfg)
	if err == nil {
		a.printFabric(running)
		_, err = fmt.Fprintln(a.stdout, "ready") // whoever waits for it would wait for ever
	}
	return g.finish(err)
}

// printFabric prints where everything is, a line each.
func (a *app) printFabric(f fabric) {
	fmt.Fprintln(a.stdout, "rest "+f.rest)
	fmt.Fprintln(a.stdout, "nats "+strings.Join(f.nats, ","))
	if len(f.leaf) > 0 {
		fmt.Fprintln(a.stdout, "leaf "+strings.Join(f.leaf, ","))
	}
}
