package proxyd

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/bucket"
)

// Defaults of a Config.
const (
	DefaultListen = "127.0.0.1:8080"
	DefaultLease  = 10 * time.Second
)

// Config of a proxy. The zero value serves the fabric damrey on [DefaultListen].
type Config struct {
	// Listen is the address of the REST interface. Port 0 picks a free one; no host means all interfaces, which needs
	// Insecure. Default [DefaultListen].
	Listen string
	// Insecure allows a Listen beyond loopback. The interface asks nobody who they are. Default false.
	Insecure bool
	// Prefix of the fabric; see damrey.CheckPrefix. Default damrey.DefaultPrefix.
	Prefix string
	// Domain is the JetStream domain of the broker, for agents. Empty: it has none. Only told to others.
	Domain string
	// Version of this program. Only told to others; as a NATS service it is 0.0.0 when this is no semantic version.
	Version string
	// Advertise is the host that others are told in place of a loopback or wildcard one. Default: the host that the
	// asker used to reach the proxy. A Listen on loopback answers to this name besides localhost and IP addresses.
	Advertise string
	// NATSURLs is where clients connect. A loopback or wildcard host is replaced by Advertise; ports stay, and users and
	// passwords are never told. Empty: nobody is told anything.
	NATSURLs []string
	// LeafURLs is where agents connect, treated as NATSURLs are. Empty: the fabric takes no agents.
	LeafURLs []string
	// Lease is how long a claim of an agent's name holds after its last renewal. Short ones are lost to a slow network,
	// long ones keep the name of a dead machine that lost its disk. Default [DefaultLease].
	Lease time.Duration
	// Replicas is how many copies every stream and bucket has, each at another server of a cluster: 1, 3 or 5. Existing ones
	// are changed to it. 0: new ones have 1, and existing ones stay as they are.
	Replicas int
	// Node is this proxy's name among those of a cluster, each of which has a broker of its own. They tell one another, and
	// whoever asks, where they are. Empty: NATSURLs and LeafURLs are all that there is.
	Node string
	// ReplyPrefixes allows reply subjects besides _INBOX. and the connection's own.
	ReplyPrefixes []string
	// Bridge of the broker's own clients, whose counts are in this proxy's beats. Nil: there is none.
	Bridge *damrey.Bridge
	// ReadOnly refuses every change that is asked for over REST. Agents may still claim their names, and messages flow. Only
	// this proxy is meant, not others of its cluster. Default false.
	ReadOnly bool
	// Trouble says why the broker cannot store anything now, nil when it can. Changes are refused with it, and the proxy is
	// not ready. Nil: nobody knows.
	Trouble func() error
	// Majority says what is missing while too few servers of the broker's cluster reach one another, nil when enough do.
	// Changes are refused with it, and the proxy is not ready. Whoever gives it also tells of it. Nil: nobody knows.
	Majority func() error
	// Alarms are rules and webhooks that are stored at the start, besides those that are stored already. Nil: none.
	Alarms *api.AlarmSettings
	// Webhooks are the addresses that alarms may be posted to: URL prefixes such as https://hooks.example.com/damrey/, hosts, or
	// IP addresses and networks. Addresses of this machine and of private networks must be named themselves. Empty: none may.
	Webhooks []string
	// Disk says how full the disk of the broker is, in bytes. Nil: nobody knows.
	Disk func() (used, total uint64, err error)
	// Subscribers lists who subscribes at the broker to subjects of a pattern, those without a queue group first, and says how
	// many more there are than it lists. Nil: nobody knows.
	Subscribers func(pattern string) (list []Subscriber, more int, err error)
	// Log takes one line for every change and what goes wrong. The zero value is silent.
	Log zerolog.Logger
}

func (c Config) withDefaults() Config {
	c.Listen = cmp.Or(c.Listen, DefaultListen)
	c.Prefix = cmp.Or(c.Prefix, damrey.DefaultPrefix)
	c.Lease = cmp.Or(c.Lease, DefaultLease)
	if c.Trouble == nil {
		c.Trouble = func() error { return nil }
	}
	if c.Majority == nil {
		c.Majority = func() error { return nil }
	}
	return c
}

func (c Config) validate() error {
	if err := damrey.CheckPrefix(c.Prefix); err != nil {
		return fmt.Errorf("prefix %w", err)
	}
	if strings.ContainsAny(c.Advertise, " /[]@") {
		return fmt.Errorf("advertise %q is no host; use a name or an IP address, without scheme, port or brackets", c.Advertise)
	}
	if c.Replicas != 0 {
		if err := bucket.CheckReplicas(c.Replicas); err != nil {
			return err
		}
	}
	if c.Lease < 0 {
		return fmt.Errorf("lease %v is negative; use a duration such as %v", c.Lease, DefaultLease)
	}
	for _, raw := range append(append([]string{}, c.NATSURLs...), c.LeafURLs...) {
		if _, err := parseURL(raw); err != nil {
			return err
		}
	}
	return c.checkAlarms()
}
