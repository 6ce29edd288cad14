package main

import (
	"fmt"
	"net/netip"
	"strings"
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
	readOnly         bool
	otlp             otlp
	alarms           alarmFlags
	replies          replyPrefixes
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
	flags.BoolVar(&f.readOnly, "read-only", false, "refuse every change over REST, and show none on the page")
	flags.Var(&f.sync, "sync", fmt.Sprintf("how long after its acknowledgement what is stored is forced to the disk, which is "+
		"what a power cut can take; always: before it (default %v; 2m when nothing is kept)", broker.DefaultSync))
	f.alarms.add(cmd)
	addPrefix(flags, &f.prefix)
	f.replies.add(flags)
	f.otlp.add(cmd)
}

// check looks at the values alone, not at the machine. external: there is no broker inside.
func (f *fabricFlags) check(external bool) error {
	if err := checkHost("--host", f.host); err != nil {
		return err
	}
	if f.advertise != "" {
		if err := checkHost("--advertise", f.advertise); err != nil {
			return err
		}
	}
	if !f.insecure && !isLocal(f.host) {
		return usageError("--host %s is beyond this machine, and the REST interface asks nobody who they are; type --insecure too if the network is trusted", f.host)
	}
	if err := f.checkPorts(external); err != nil {
		return err
	}
	if err := f.otlp.check(); err != nil {
		return err
	}
	if err := checkPrefix(f.prefix); err != nil {
		return err
	}
	return f.replies.check(f.prefix)
}

func (f *fabricFlags) checkPorts(external bool) error {
	ports := []struct {
		flag string
		port port
	}{{"--port", f.rest}, {"--nats-port", f.nats}, {"--leaf-port", f.leaf}}
	if external {
		return nil // only the REST interface listens
	}
	for i, a := range ports {
		for _, b := range ports[i+1:] {
			if a.port == b.port && a.port != 0 {
				return usageError("%s and %s are both %d; choose another port for one of them", a.flag, b.flag, a.port)
			}
		}
	}
	return nil
}

// isLocal decides by the text alone, as the broker does: a name could resolve to something else a moment later.
func isLocal(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.Unmap().IsLoopback()
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
			Version: damrey.Version, Advertise: f.advertise, ReadOnly: f.readOnly, ReplyPrefixes: f.replies, Log: a.log,
		},
		OTLP: f.otlp.from(a),
		Log:  a.log,
	}
}
