package broker

import (
	"cmp"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"
)

const (
	maxPrefix     = 16
	leafReconnect = 250 * time.Millisecond // nats-server adds up to as much again by chance after a failed attempt

	// nats-server writes one line for this many failed attempts to reach the broker, about one in 40 seconds.
	reportEvery = 120
)

// globalAccount is nats-server's account for everybody where no accounts are configured.
const globalAccount = "$G"

// LeafConfig says how to run a Leaf. Remotes and Domain are required.
type LeafConfig struct {
	// Name is the server's name, by which instances know their agent: its advertised address, such as "10.1.2.3:8080".
	// Two leafs of one name at one broker evict each other. Default "damrey-leaf".
	Name string
	// Host is the address local clients connect to; beyond loopback it needs Insecure. Default 127.0.0.1.
	Host string
	// Port is where local clients connect; -1 picks a free one. Default 4222.
	Port int
	// Remotes are URLs of the broker's leaf listener, nats-leaf://host:port (default port 7422; tls:// and wss:// too,
	// user and password allowed). Several are alternatives of one another.
	Remotes []string
	// CredsFile holds credentials for the broker. Default none.
	CredsFile string
	// Domain is the broker's JetStream domain. JetStream requests of local clients go there. No default: with a wrong one
	// clients of this leaf find no JetStream.
	Domain string
	// Prefix is the fabric's; <Prefix>.out.> and <Prefix>.local.> stay on this machine. At most 16 letters, digits, _
	// and -. Default "damrey".
	Prefix string
	// Insecure allows to listen beyond loopback: whoever reaches the port may do everything.
	Insecure bool
	// MaxPayload is the largest message in bytes. It must be the broker's, since a larger message tears the link.
	// Default 1 MiB.
	MaxPayload int32
	// Log receives nats-server's log. Default silent.
	Log zerolog.Logger
}

func (c LeafConfig) withDefaults() LeafConfig {
	c.Name = cmp.Or(c.Name, "damrey-leaf")
	c.Host = cmp.Or(c.Host, defaultHost)
	c.Port = cmp.Or(c.Port, defaultPort)
	c.Prefix = cmp.Or(c.Prefix, defaultName)
	c.MaxPayload = cmp.Or(c.MaxPayload, defaultMaxPayload)
	return c
}

func (c LeafConfig) validate() error {
	if err := checkName("Name", c.Name); err != nil {
		return err
	}
	if c.Domain == "" {
		return fmt.Errorf("%w: Domain is empty: a broker without a JetStream domain cannot take agents; "+
			"set one there (`jetstream { domain: damrey }`), or let workers connect to the broker directly", ErrConfig)
	}
	if err := checkToken("Domain", c.Domain); err != nil {
		return err
	}
	if err := checkToken("Prefix", c.Prefix); err != nil {
		return err
	}
	if len(c.Prefix) > maxPrefix {
		return fmt.Errorf("%w: Prefix %q has %d characters: at most %d", ErrConfig, c.Prefix, len(c.Prefix), maxPrefix)
	}
	if err := checkMaxPayload(c.MaxPayload); err != nil {
		return err
	}
	l := c.listener()
	if err := l.validate(); err != nil {
		return err
	}
	if !c.Insecure {
		return l.refuseOpen("")
	}
	return nil
}

func (c LeafConfig) listener() listener {
	return listener{field: "Port", flag: "-p", what: "local NATS clients", host: c.Host, port: c.Port}
}

// options are those of nats-server; they read the credentials' file name, not the file.
func (c LeafConfig) options() (*server.Options, error) {
	remote, err := c.remote()
	if err != nil {
		return nil, err
	}
	o := commonOptions(c.Name, c.Host, c.Port, c.MaxPayload)
	// Measured with nats-server 2.15: without this mapping unmodified clients of a leaf reach no JetStream at the broker.
	o.JsAccDefaultDomain = map[string]string{globalAccount: c.Domain}
	o.ConnectErrorReports, o.ReconnectErrorReports = reportEvery, reportEvery
	o.LeafNode.ReconnectInterval = leafReconnect
	o.LeafNode.Remotes = []*server.RemoteLeafOpts{remote}
	return o, nil
}

func (c LeafConfig) remote() (*server.RemoteLeafOpts, error) {
	if len(c.Remotes) == 0 {
		return nil, fmt.Errorf("%w: Remotes is empty: there is no broker to link to; name the proxy with --proxy", ErrConfig)
	}
	local := []string{c.Prefix + ".out.>", c.Prefix + ".local.>"}
	remote := &server.RemoteLeafOpts{
		DenyImports: local,
		DenyExports: local,
		Credentials: c.CredsFile,
		Compression: server.CompressionOpts{Mode: server.CompressionOff},
	}
	for _, text := range c.Remotes {
		u, err := parseRemote(text)
		if err != nil {
			return nil, err
		}
		remote.URLs = append(remote.URLs, u)
		remote.TLS = remote.TLS || u.Scheme == "tls" || u.Scheme == "wss"
	}
	if c.CredsFile != "" {
		f, err := os.Open(c.CredsFile)
		if err != nil {
			return nil, fmt.Errorf("%w: CredsFile: %w", ErrConfig, err)
		}
		f.Close()
	}
	return remote, nil
}

// parseRemote refuses what nats-server would only find out while it dials, or never.
func parseRemote(text string) (*url.URL, error) {
	const want = "use nats-leaf://host:port"
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: Remotes has an entry that is no URL: %s", ErrConfig, want) // err would show a password
	}
	switch u.Scheme {
	case "nats-leaf", "nats", "tls", "ws", "wss":
	default:
		return nil, fmt.Errorf("%w: Remotes: %s has the scheme %q: %s", ErrConfig, u.Redacted(), u.Scheme, want)
	}
	if u.Hostname() == "" {
		return nil, fmt.Errorf("%w: Remotes: %s has no host: %s", ErrConfig, u.Redacted(), want)
	}
	return u, nil
}
