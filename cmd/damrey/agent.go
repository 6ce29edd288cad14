package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/agentd"
	"github.com/damrey/damrey/broker"
)

const agentHelp = `Run the agent of this machine: workers here connect to it as to any NATS server, and it is linked to
the broker, which it finds through the proxy.

  damrey agent -p 4222 -a 10.1.2.3:4222 --proxy 10.1.2.1:8080 -r 3

It routes for programs without the library too. It lives through the loss of broker and proxy: workers here
go on with the last routing table. It prints where it listens and ` + "`ready`" + `.

  workers ── leaf node ══ broker       (its address comes from the proxy)
                 └─ agent ── proxy     (name, table, bridge)`

type agentFlags struct {
	port     port
	name     string
	proxy    string
	rc       int
	data     string
	host     string
	insecure bool
	login    natsFlags
	otlp     otlp
	replies  replyPrefixes
}

func newAgentCommand(a *app) *cobra.Command {
	var f agentFlags
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run the agent of this machine, linked to the broker",
		Long:  agentHelp,
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.complete(); err != nil {
				return err
			}
			return a.runAgent(cmd.Context(), &f)
		},
	}
	flags := cmd.Flags()
	f.port = 4222
	flags.VarP(&f.port, "port", "p", "port for the workers of this machine; 0 picks a free one")
	flags.StringVarP(&f.name, "advertise", "a", "", "`ADDRESS` that is this agent's name, ip:port (default: the host's name and --port)")
	flags.StringVar(&f.proxy, "proxy", "127.0.0.1:8080", "address of the proxy, ip[:port] or a URL, commas between several; the port is 8080 unless it says another; -pr too")
	flags.IntVarP(&f.rc, "retries", "r", 3, "attempts to push a message of a program without the library")
	inRange(flags, "retries", "1 or more")
	flags.StringVar(&f.data, "data", "", "`DIR` of what it keeps (default $XDG_DATA_HOME/damrey/agent-NAME)")
	flags.StringVar(&f.host, "host", "127.0.0.1", "address to listen on; beyond this machine it needs --insecure")
	flags.BoolVar(&f.insecure, "insecure", false, "allow to listen beyond this machine: who reaches the port may do everything")
	f.replies.add(flags)
	f.login.addLogin(flags)
	f.otlp.add(cmd)
	cmd.MarkFlagsRequiredTogether("user", "password")
	return cmd
}

func (f *agentFlags) complete() error {
	if f.rc < 1 {
		return usageError("-r %d; use 1 or more attempts", f.rc)
	}
	if err := checkHost("--host", f.host); err != nil {
		return err
	}
	if !f.insecure && !isLocal(f.host) {
		return usageError("--host %s is beyond this machine, where nobody is asked who they are; type --insecure too if the network is trusted", f.host)
	}
	if err := f.otlp.check(); err != nil {
		return err
	}
	if f.name != "" {
		if err := damrey.CheckAgentName(f.name); err != nil {
			return usageError("%w; give another name with -a", err)
		}
		return nil
	}
	if f.port == 0 {
		return usageError("with -p 0 the agent's name is not known before it listens; give one with -a")
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("the host's name, for the agent's, cannot be found: %w; give one with -a", err)
	}
	f.name = f.port.address(host)
	return nil
}

// runAgent takes the agent's place in the fabric first: without it there is no broker to link to.
func (a *app) runAgent(ctx context.Context, f *agentFlags) (err error) {
	ctx, release := a.untilStopped(ctx, func() {})
	defer release()
	cfg := agentd.Config{Name: f.name, Proxy: f.proxy, Dir: f.data, Rc: f.rc, Sampling: f.otlp.share, ReplyPrefixes: f.replies, Log: a.log}
	member, err := agentd.Join(ctx, cfg)
	if err != nil {
		if ctx.Err() != nil { // a signal while it waited
			return nil
		}
		return wrongCall(err, agentd.ErrConfig)
	}
	defer func() { err = errors.Join(err, member.Close()) }()
	if err := f.replies.check(member.Fabric.Prefix); err != nil {
		return err
	}
	leaf, err := newLeaf(member, f, a)
	if err != nil {
		return err
	}
	cfg.Relink = func(urls []string) error {
		remotes, err := f.remotes(urls)
		if err != nil {
			return err
		}
		return leaf.SetRemotes(remotes)
	}
	g := newGroup(ctx)
	if cfg.Tracer, err = f.otlp.from(a).start(g, "damrey-agent", a.log); err != nil {
		return g.finish(err)
	}
	return g.finish(a.startAgent(g, leaf, member, cfg))
}

func (a *app) startAgent(g *group, leaf *broker.Leaf, member *agentd.Membership, cfg agentd.Config) error {
	if err := g.start("leaf node", leaf.Run, leaf.Ready()); err != nil {
		return err
	}
	nc, err := leaf.Connect(nats.Name("damrey-agent"), nats.ReconnectBufSize(-1))
	if err != nil {
		return err
	}
	g.cleanup(nc.Close)
	cfg.Uplink = leaf.Watch
	agent := agentd.New(nc, member, cfg)
	if err := g.start("agent", agent.Run, agent.Ready()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "agent %s\nnats %s\nready\n", member.Name, leaf.ClientURL())
	return err // whoever waits for ready would wait for ever
}

func newLeaf(member *agentd.Membership, f *agentFlags, a *app) (*broker.Leaf, error) {
	remotes, err := f.remotes(member.Fabric.Leaf)
	if err != nil {
		return nil, err
	}
	return broker.NewLeaf(broker.LeafConfig{
		Name: member.Name, Host: f.host, Port: f.port.forNATS(), Insecure: f.insecure,
		Remotes: remotes, CredsFile: f.login.config.Creds,
		Domain: member.Fabric.Domain, Prefix: member.Fabric.Prefix, MaxPayload: int32(member.Fabric.MaxPayload),
		Log: a.log,
	})
}

func (f *agentFlags) remotes(leaf []string) ([]string, error) {
	return withLogin(leaf, f.login.config.User, f.login.config.Password)
}

// withLogin puts user and password into the URLs of the broker, which the proxy never tells.
func withLogin(urls []string, user, password string) ([]string, error) {
	if user == "" {
		return urls, nil
	}
	out := make([]string, len(urls))
	for i, raw := range urls {
		u, err := url.Parse(raw)
		if err != nil {
			return nil, fmt.Errorf("the proxy names %q as the broker: %w", strings.ToValidUTF8(raw, "?"), err)
		}
		u.User = url.UserPassword(user, password)
		out[i] = u.String()
	}
	return out, nil
}

// wrongCall makes an error that is kind one of a wrong call.
func wrongCall(err, kind error) error {
	if errors.Is(err, kind) {
		return usageError("%w", err)
	}
	return err
}
