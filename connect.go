package damrey

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// ConnectConfig says how to reach NATS. What is empty is looked up as the
// `nats` command does: the environment (NATS_URL, NATS_CREDS, NATS_NKEY,
// NATS_USER, NATS_PASSWORD, NATS_TOKEN, NATS_CA, NATS_CERT, NATS_KEY,
// NATS_INBOX_PREFIX), then the selected nats context (NATS_CONTEXT, or the one
// that `nats context select` chose), then nats://127.0.0.1:4222.
type ConnectConfig struct {
	// URL of one or more servers, separated by commas.
	URL string
	// Name of the connection, as the server's monitoring shows it.
	Name string
	// Creds is a file of credentials, NKey a file of an nkey seed.
	Creds, NKey string
	// User and Password, or Token.
	User, Password, Token string
	// CA, Cert and Key are files for TLS.
	CA, Cert, Key string
	// InboxPrefix replaces _INBOX.
	InboxPrefix string
	// Log tells of the connection's coming and going. The zero value is silent.
	Log zerolog.Logger
	// Options are applied last.
	Options []nats.Option
}

const defaultURL = "nats://127.0.0.1:4222"

// Connect makes a connection as a fabric needs it: it waits for a server that
// is not there yet, reconnects without end, notices a frozen link within
// seconds, and does not keep messages of its own while it is down, so that
// what surely did not leave can be pushed again.
func Connect(c ConnectConfig) (*nats.Conn, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	opts := c.natsOptions()
	// A connection that waits does not tell why: the first try is one that does.
	nc, err := nats.Connect(c.URL, append(opts[:len(opts):len(opts)], nats.RetryOnFailedConnect(false))...)
	if err == nil {
		return nc, nil
	}
	if !waits(opts) {
		return nil, fmt.Errorf("damrey: connect to %s: %w", redact(c.URL), err)
	}
	nc, again := nats.Connect(c.URL, opts...)
	if again != nil {
		return nil, fmt.Errorf("damrey: connect to %s: %w", redact(c.URL), again)
	}
	if !nc.IsConnected() {
		c.Log.Warn().Str("url", redact(c.URL)).Err(err).Msg("NATS is not reachable; waiting for it")
	}
	return nc, nil
}

// waits says whether options ask for a server that is not there yet. An option
// that fails does so when connecting, too.
func waits(opts []nats.Option) bool {
	o := nats.GetDefaultOptions()
	for _, opt := range opts {
		if opt != nil && opt(&o) != nil {
			return false
		}
	}
	return o.RetryOnFailedConnect
}

// complete fills what is empty from the environment and the nats context.
func (c *ConnectConfig) complete() error {
	explicit := c.URL != ""
	c.fill(func(name string) string { return os.Getenv("NATS_" + name) })
	fromContext, err := natsContext()
	if err != nil {
		return err
	}
	if fromContext != nil && !explicit && (os.Getenv("NATS_URL") == "" || os.Getenv("NATS_CONTEXT") != "") {
		c.fill(func(name string) string { return fromContext[strings.ToLower(name)] })
	}
	if c.URL == "" {
		c.URL = defaultURL
	}
	return nil
}

func (c *ConnectConfig) fill(get func(name string) string) {
	for name, field := range map[string]*string{
		"URL": &c.URL, "CREDS": &c.Creds, "NKEY": &c.NKey, "USER": &c.User, "PASSWORD": &c.Password,
		"TOKEN": &c.Token, "CA": &c.CA, "CERT": &c.Cert, "KEY": &c.Key, "INBOX_PREFIX": &c.InboxPrefix,
	} {
		if *field == "" {
			*field = get(name)
		}
	}
}

// natsContext reads the selected context of the `nats` command; nil when there
// is none.
func natsContext() (map[string]string, error) {
	config, err := os.UserConfigDir()
	if err != nil {
		return nil, nil
	}
	dir := filepath.Join(config, "nats")
	name := os.Getenv("NATS_CONTEXT")
	if name == "" {
		selected, err := os.ReadFile(filepath.Join(dir, "context.txt"))
		if err != nil {
			return nil, nil
		}
		name = strings.TrimSpace(string(selected))
	}
	if name == "" {
		return nil, nil
	}
	path := filepath.Join(dir, "context", name+".json")
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("damrey: nats context %q: %w; choose another with `nats context select`, or set NATS_URL", name, err)
	}
	var raw map[string]any
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("damrey: nats context %s: %w", path, err)
	}
	values := make(map[string]string, len(raw))
	for k, v := range raw {
		if s, ok := v.(string); ok {
			values[k] = s
		}
	}
	return values, nil
}

const (
	pingEvery     = 2 * time.Second
	pingsMissed   = 2
	reconnectWait = 250 * time.Millisecond
	writeLimit    = 5 * time.Second
)

func (c *ConnectConfig) natsOptions() []nats.Option {
	away := &unreached{log: c.Log}
	connected := func(nc *nats.Conn) {
		away.over()
		c.connected(nc)
	}
	opts := []nats.Option{
		nats.Name(c.Name),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait), nats.ReconnectJitter(reconnectWait, reconnectWait),
		nats.ReconnectBufSize(-1),
		nats.PingInterval(pingEvery), nats.MaxPingsOutstanding(pingsMissed),
		nats.FlusherTimeout(writeLimit),
		nats.DisconnectErrHandler(c.disconnected), nats.ReconnectHandler(connected), nats.ConnectHandler(connected),
		nats.ReconnectErrHandler(away.failed), nats.ErrorHandler(c.trouble),
	}
	if c.Creds != "" {
		opts = append(opts, nats.UserCredentials(c.Creds))
	}
	if c.NKey != "" {
		opts = append(opts, c.nkey)
	}
	if c.User != "" {
		opts = append(opts, nats.UserInfo(c.User, c.Password))
	}
	if c.Token != "" {
		opts = append(opts, nats.Token(c.Token))
	}
	if c.CA != "" {
		opts = append(opts, nats.RootCAs(c.CA))
	}
	if c.Cert != "" {
		opts = append(opts, nats.ClientCert(c.Cert, c.Key))
	}
	if c.InboxPrefix != "" {
		opts = append(opts, nats.CustomInboxPrefix(c.InboxPrefix))
	}
	return append(opts, c.Options...)
}

func (c *ConnectConfig) nkey(o *nats.Options) error {
	opt, err := nats.NkeyOptionFromSeed(c.NKey)
	if err != nil {
		return err
	}
	return opt(o)
}

func (c *ConnectConfig) disconnected(nc *nats.Conn, err error) {
	if !nc.IsClosed() {
		c.Log.Warn().Err(err).Msg("the connection to NATS is lost; reconnecting")
	}
}

func (c *ConnectConfig) connected(nc *nats.Conn) {
	c.Log.Info().Str("url", redact(nc.ConnectedUrl())).Str("server", nc.ConnectedServerName()).Msg("connected to NATS")
}

func (c *ConnectConfig) trouble(_ *nats.Conn, sub *nats.Subscription, err error) {
	e := c.Log.Error().Err(err)
	if sub != nil {
		e = e.Str("subject", sub.Subject)
	}
	if errors.Is(err, nats.ErrSlowConsumer) {
		e.Msg("messages were dropped: they come in faster than this process can look at them")
		return
	}
	e.Msg("NATS reports an error")
}

// redact hides the password of a URL in logs and errors.
func redact(url string) string {
	var out []string
	for _, one := range strings.Split(url, ",") {
		scheme, rest, ok := strings.Cut(one, "://")
		if at := strings.LastIndexByte(rest, '@'); ok && at >= 0 {
			one = scheme + "://***@" + rest[at+1:]
		}
		out = append(out, one)
	}
	return strings.Join(out, ",")
}
