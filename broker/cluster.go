package broker

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

const defaultClusterPort = 6222

// Cluster makes a Broker one of several servers that store everything together. Its zero value is none.
type Cluster struct {
	// Name of the cluster, the same at all its servers; letters, digits, _ and -. Empty: the server is alone.
	Name string
	// Host is the address the other servers connect to, with the same rule as Config.Host. Default Config.Host.
	Host string
	// Port is where the other servers connect; -1 picks a free one, which they can only be told by this server. Default 6222.
	Port int
	// Advertise is the host that the others are told, for a Host that they cannot reach. Default Host.
	Advertise string
	// AdvertiseRoutes is the host:port that the other servers are told for routes, where a port mapping stands before Port.
	// Default Advertise and Port.
	AdvertiseRoutes string
	// Routes are where servers of the cluster are, [nats://]host[:port] with port 6222 where there is none. This server
	// may be among them, so that all can have the same list. One that can be reached is enough, but name them all: as many
	// are counted on when the cluster forms for the first time.
	Routes []string
}

func (c Cluster) withDefaults(host string) Cluster {
	if c.Name == "" {
		return c
	}
	c.Host = cmp.Or(c.Host, host)
	c.Port = cmp.Or(c.Port, defaultClusterPort)
	return c
}

func (c Cluster) validate(dir string) error {
	if c.Name == "" {
		if len(c.Routes) > 0 {
			return fmt.Errorf("%w: Cluster.Routes is set without Cluster.Name: name the cluster with --cluster", ErrConfig)
		}
		return nil
	}
	if err := checkToken("--cluster", c.Name); err != nil {
		return err
	}
	if dir == "" {
		return fmt.Errorf("%w: Dir is empty in a cluster: a server that forgets what it acknowledged would vote for losing it; "+
			"give it a directory with --data", ErrConfig)
	}
	seen := make(map[string]bool, len(c.Routes))
	for _, text := range c.Routes {
		u, err := parseRoute(text)
		if err != nil {
			return err
		}
		if seen[strings.ToLower(u.Host)] {
			return fmt.Errorf("%w: --routes: %s stands twice, and would count as two servers: leave one out", ErrConfig, u.Host)
		}
		seen[strings.ToLower(u.Host)] = true
	}
	if c.AdvertiseRoutes != "" {
		host, port, err := net.SplitHostPort(c.AdvertiseRoutes)
		if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 || host == "" {
			return fmt.Errorf("%w: --cluster-advertise: %q is no host:port, such as 10.1.2.3:6222", ErrConfig, c.AdvertiseRoutes)
		}
	}
	return nil
}

func (c Cluster) listener() listener {
	return listener{field: "Cluster.Port", flag: "--cluster-port", what: "the other servers of the cluster", host: c.Host, port: c.Port}
}

// set makes o those of a server in the cluster. validate has passed.
func (c Cluster) set(o *server.Options, user, password string) {
	o.Cluster = server.ClusterOpts{
		Name: c.Name, Host: c.Host, Port: c.Port, Username: user, Password: password,
		Compression:   server.CompressionOpts{Mode: server.CompressionOff},
		WriteDeadline: writeDeadline,
	}
	if c.Advertise != "" {
		o.ClientAdvertise = c.Advertise // with the port that is listened on
		o.Cluster.Advertise = c.Advertise
		if c.Port > 0 {
			o.Cluster.Advertise = net.JoinHostPort(c.Advertise, strconv.Itoa(c.Port))
		}
	}
	o.Cluster.Advertise = cmp.Or(c.AdvertiseRoutes, o.Cluster.Advertise)
	for _, text := range c.Routes {
		u, err := parseRoute(text)
		if err != nil {
			continue // validate has refused it
		}
		if user != "" && u.User == nil {
			u.User = url.UserPassword(user, password)
		}
		o.Routes = append(o.Routes, u)
	}
}

// parseRoute refuses what nats-server would only find out while it dials, or never.
func parseRoute(text string) (*url.URL, error) {
	const want = "use host:port, such as 10.1.2.3:6222, or nats://host:port"
	full := text
	if !strings.Contains(full, "://") {
		full = "nats-route://" + full
	}
	u, err := url.Parse(full)
	if err != nil {
		return nil, fmt.Errorf("%w: --routes has an entry that is no address: %s", ErrConfig, want) // err would show a password
	}
	if u.Scheme != "nats-route" && u.Scheme != "nats" {
		return nil, fmt.Errorf("%w: --routes: %s has the scheme %q: %s", ErrConfig, u.Redacted(), u.Scheme, want)
	}
	if u.Hostname() == "" {
		return nil, fmt.Errorf("%w: --routes: %q has no host: %s", ErrConfig, text, want)
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%w: --routes: %s has more than a host and a port: %s", ErrConfig, u.Redacted(), want)
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), strconv.Itoa(defaultClusterPort))
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || n == 0 {
		return nil, fmt.Errorf("%w: --routes: %s: the port is out of range: use 1 to 65535", ErrConfig, u.Redacted())
	}
	u.Scheme, u.Path = "nats-route", ""
	return u, nil
}
