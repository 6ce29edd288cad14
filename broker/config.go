package broker

import (
	"cmp"
	"fmt"
	"regexp"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"
)

const (
	defaultHost       = "127.0.0.1"
	defaultPort       = 4222
	defaultLeafPort   = 7422
	defaultName       = "damrey"
	defaultMaxPayload = 1 << 20
	maxMaxPayload     = 64 << 20 // nats-server's limit for what one connection may have pending, which a payload must fit in
)

// Every connection is asked every two seconds and given up after two questions without an answer: a frozen link is
// noticed within seven seconds, where nats-server's own settings take minutes.
const (
	pingInterval  = 2 * time.Second
	maxPingsOut   = 2
	writeDeadline = 5 * time.Second // below the time a ping needs to find out, above any pause of a healthy peer
)

// Config says how to run a Broker. Its zero value is a broker in memory at the usual ports of this machine.
type Config struct {
	// Name is the server's name, without spaces. Default "damrey".
	Name string
	// Host is the address clients connect to; beyond loopback it needs User or Insecure. Default 127.0.0.1.
	Host string
	// Port is where clients connect; -1 picks a free one. Default 4222.
	Port int
	// LeafHost is the address agents connect to, with the same rule. Default Host.
	LeafHost string
	// LeafPort is where agents connect; -1 picks a free one. Default 7422.
	LeafPort int
	// Dir keeps streams and buckets over restarts. One process at a time owns it. Empty: they live in a temporary
	// directory of at most 256 MiB that goes when Run returns.
	Dir string
	// Sync is about how much time may pass until what JetStream has acknowledged is forced to the disk, which is what a
	// power cut can take; a killed process loses nothing of it. nats-server forces messages only, not the file that
	// describes a stream: one made or changed in the last half minute can go whole, unless Sync is SyncAlways, which forces
	// first and acknowledges then and is many times slower. At least MinSync. Default DefaultSync, or with an empty Dir,
	// which nothing outlives, two minutes.
	Sync time.Duration
	// Domain is the JetStream domain, by which agents reach JetStream. Letters, digits, _ and -. Default "damrey".
	Domain string
	// Insecure allows to listen beyond loopback without User: whoever reaches the port may do everything.
	Insecure bool
	// User and Password, both or none, are asked of clients and agents. Connect knows them. Default none.
	User, Password string
	// MaxPayload is the largest message in bytes, up to 64 MiB. It must be the same everywhere in a fabric, since a
	// larger message tears the link between agent and broker. Default 1 MiB.
	MaxPayload int32
	// Cluster makes the server one of several, each with a Name of its own. Default: it is alone.
	Cluster Cluster
	// Log receives nats-server's log. Default silent.
	Log zerolog.Logger
}

func (c Config) withDefaults() Config {
	c.Name = cmp.Or(c.Name, defaultName)
	c.Host = cmp.Or(c.Host, defaultHost)
	c.Port = cmp.Or(c.Port, defaultPort)
	c.LeafHost = cmp.Or(c.LeafHost, c.Host)
	c.LeafPort = cmp.Or(c.LeafPort, defaultLeafPort)
	c.Sync = cmp.Or(c.Sync, defaultSync(c.Dir))
	c.Domain = cmp.Or(c.Domain, defaultName)
	c.MaxPayload = cmp.Or(c.MaxPayload, defaultMaxPayload)
	c.Cluster = c.Cluster.withDefaults(c.Host)
	return c
}

// validate looks at the values alone, not at the machine.
func (c Config) validate() error {
	if err := checkName("Name", c.Name); err != nil {
		return err
	}
	if err := checkToken("Domain", c.Domain); err != nil {
		return err
	}
	if err := checkMaxPayload(c.MaxPayload); err != nil {
		return err
	}
	if err := checkSync(c.Sync); err != nil {
		return err
	}
	if err := checkLogin(c.User, c.Password); err != nil {
		return err
	}
	if err := c.Cluster.validate(c.Dir); err != nil {
		return err
	}
	for _, l := range c.listeners() {
		if err := l.validate(); err != nil {
			return err
		}
		if c.User == "" && !c.Insecure {
			if err := l.refuseOpen("a user and password"); err != nil {
				return err
			}
		}
	}
	return distinct(c.listeners())
}

func (c Config) listeners() []listener {
	all := []listener{
		{field: "Port", flag: "--nats-port", what: "NATS clients", host: c.Host, port: c.Port},
		{field: "LeafPort", flag: "--leaf-port", what: "agents", host: c.LeafHost, port: c.LeafPort},
	}
	if c.Cluster.Name != "" {
		all = append(all, c.Cluster.listener())
	}
	return all
}

// options are those of nats-server, except for where it stores.
func (c Config) options() *server.Options {
	o := commonOptions(c.Name, c.Host, c.Port, c.MaxPayload)
	o.Username, o.Password = c.User, c.Password
	o.JetStream = true
	o.JetStreamDomain = c.Domain
	o.JetStreamLimits.DefaultMaxConsumers = -1 // every instance watches the table by one, and 1,000 is the default
	setSync(o, c.Sync)
	o.LeafNode.Host, o.LeafNode.Port = c.LeafHost, c.LeafPort
	o.LeafNode.Username, o.LeafNode.Password = c.User, c.Password
	if c.Cluster.Name != "" {
		c.Cluster.set(o, c.User, c.Password)
	}
	o.LeafNode.NoAdvertise = true // agents keep to the address they were given: behind a port mapping ours is wrong
	return o
}

// commonOptions are what a broker and a leaf have in common, so that both sides of a link agree.
func commonOptions(name, host string, port int, maxPayload int32) *server.Options {
	return &server.Options{
		ServerName:             name,
		Host:                   host,
		Port:                   port,
		MaxPayload:             maxPayload,
		PingInterval:           pingInterval,
		MaxPingsOut:            maxPingsOut,
		WriteDeadline:          writeDeadline,
		NoSigs:                 true,
		DisableJetStreamBanner: true,
		LeafNode: server.LeafNodeOpts{
			WriteDeadline: writeDeadline,
			Compression:   server.CompressionOpts{Mode: server.CompressionOff},
		},
	}
}

var (
	tokenPattern  = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	bcryptPattern = regexp.MustCompile(`^\$2[abxy]\$\d{2}\$`) // what nats-server takes for a hash instead of a password
	spacePattern  = regexp.MustCompile(`[\s[:cntrl:]]`)
)

func checkName(field, name string) error {
	if at := spacePattern.FindStringIndex(name); at != nil {
		return fmt.Errorf("%w: %s %q has a space at position %d: nats-server allows none", ErrConfig, field, name, at[0]+1)
	}
	return nil
}

func checkToken(field, token string) error {
	if !tokenPattern.MatchString(token) {
		return fmt.Errorf("%w: %s is %q: use letters, digits, _ and - only", ErrConfig, field, token)
	}
	return nil
}

func checkMaxPayload(n int32) error {
	if n < 0 || n > maxMaxPayload {
		return fmt.Errorf("%w: MaxPayload is %d bytes: use 1 to %d", ErrConfig, n, maxMaxPayload)
	}
	return nil
}

func checkLogin(user, password string) error {
	switch {
	case user == "" && password != "":
		return fmt.Errorf("%w: Password is set without User", ErrConfig)
	case user != "" && password == "":
		return fmt.Errorf("%w: User %q has no Password", ErrConfig, user)
	case bcryptPattern.MatchString(password):
		return fmt.Errorf("%w: Password of User %q is a bcrypt hash: give the password itself", ErrConfig, user)
	}
	return nil
}
