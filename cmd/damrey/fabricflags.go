package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/broker"
	"github.com/damrey/damrey/proxyd"
)

// fabricFlags are what `damrey proxy` and `damrey dev` have in common.
type fabricFlags struct {
	rest, nats, leaf port
	host             string
	advertise        string
	prefix           string
	data             string
	sync             syncTime
	insecure         bool
}

func (f *fabricFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	f.rest, f.nats, f.leaf = 8080, 4222, 7422
	flags.VarP(&f.rest, "port", "p", "port of the REST interface; 0 picks a free one")
	flags.Var(&f.nats, "nats-port", "port for NATS clients; 0 picks a free one")
	flags.Var(&f.leaf, "leaf-port", "port for agents; 0 picks a free one")
	flags.StringVar(&f.host, "host", "127.0.0.1", "address to listen on; beyond this machine it needs --insecure")
	flags.StringVar(&f.advertise, "advertise", "", "`HOST` that others are told to connect to (default: the one they asked)")
	flags.BoolVar(&f.insecure, "insecure", false, "allow to listen beyond this machine: who reaches a port may do everything")
	flags.Var(&f.sync, "sync", fmt.Sprintf("how long after its acknowledgement what is stored is forced to the disk, which is "+
		"what a power cut can take; always: before it (default %v; 2m when nothing is kept)", broker.DefaultSync))
	addPrefix(flags, &f.prefix)
}

// config is all but the NATS server.
func (f *fabricFlags) config(a *app) fabricConfig {
	return fabricConfig{
		Broker: broker.Config{
			Host: f.host, Port: f.nats.forNATS(), LeafPort: f.leaf.forNATS(),
			Dir: f.data, Sync: time.Duration(f.sync), Insecure: f.insecure, Log: a.log,
		},
		Proxy: proxyd.Config{
			Listen: f.rest.address(f.host), Insecure: f.insecure, Prefix: f.prefix,
			Version: damrey.Version, Advertise: f.advertise, Log: a.log,
		},
		Log: a.log,
	}
}
