package agentd

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"

	"github.com/damrey/damrey"
)

// DefaultRenew is how often an agent renews its claim of its name, which the proxy lets run out after ten seconds.
const DefaultRenew = 3 * time.Second

// Config of an agent, for Join and New alike. Name and Proxy are required.
type Config struct {
	// Name of the agent: the address that it advertises, such as "10.1.2.3:8080". Registrations pin workers by it, and
	// the leaf server must have the same one. Printable, without spaces, at most 128 characters.
	Name string
	// Proxy is the address of the fabric's proxy, ip:port or a URL.
	Proxy string
	// Dir keeps what the agent knows over restarts. One agent at a time owns it. Default
	// $XDG_DATA_HOME/damrey/agent-<name>, or ~/.local/share/damrey/agent-<name>.
	Dir string
	// Rc is the number of attempts to push a message of a program without the library. Default 3.
	Rc int
	// Timeout is the budget of such a program's request. Default 5 s.
	Timeout time.Duration
	// Renew is the time between two renewals of the name. Near the proxy's lease a slow network loses the name; short
	// ones cost a write in the broker each. Default [DefaultRenew].
	Renew time.Duration
	// ReplyPrefixes allows reply subjects besides _INBOX. and the connection's own.
	ReplyPrefixes []string
	// Uplink tells about the leaf server's link to the broker: told is called with the present state and then for every
	// change, until ctx ends. Nil: the link is taken to be up always.
	Uplink func(ctx context.Context, told func(up bool))
	// Relink makes other URLs those of the broker, when the one in use is gone and the proxies name some that the leaf server
	// was not started with. Nil: Run ends with [ErrMoved] then.
	Relink func(leaf []string) error
	// Tracer takes the spans of traced messages of such programs; see damrey.BridgeConfig. Nil: nobody wants them.
	Tracer trace.TracerProvider
	// Sampling is the share, 0 to 1, of the lines that such programs begin which are traced and kept.
	Sampling float64
	// Log tells what happens. The zero value is silent.
	Log zerolog.Logger
}

func (c Config) withDefaults() Config {
	c.Renew = cmp.Or(c.Renew, DefaultRenew)
	return c
}

func (c Config) validate() error {
	switch {
	case c.Name == "":
		return fmt.Errorf("%w: the agent has no name; give the address that it advertises with -a, such as -a 10.1.2.3:8080", ErrConfig)
	case c.Proxy == "":
		return fmt.Errorf("%w: no proxy is named; give its address with --proxy, such as --proxy 10.1.2.1:8080", ErrConfig)
	case c.Rc < 0:
		return fmt.Errorf("%w: %d attempts to push a message; use 1 or more with -r, or 0 for the default", ErrConfig, c.Rc)
	case c.Timeout < 0:
		return fmt.Errorf("%w: Timeout is %v; use a positive duration, or 0 for the default", ErrConfig, c.Timeout)
	case c.Renew < 0:
		return fmt.Errorf("%w: Renew is %v; use a positive duration, or 0 for %v", ErrConfig, c.Renew, DefaultRenew)
	}
	if err := damrey.CheckAgentName(c.Name); err != nil {
		return fmt.Errorf("%w: name %w; give another name with -a", ErrConfig, err)
	}
	return nil
}
