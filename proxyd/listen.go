package proxyd

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// Validate says what of a configuration cannot work anywhere, without a look at the machine.
func Validate(cfg Config) error { return cfg.withDefaults().validate() }

// Check says whether a proxy could be made of cfg and listen now, and starts nothing.
func Check(cfg Config) error {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return err
	}
	ln, err := listen(cfg)
	if err != nil {
		return err
	}
	return ln.Close()
}

// listen binds at once, so that a port that is taken is known before anything else starts.
func listen(cfg Config) (net.Listener, error) {
	addr, err := net.ResolveTCPAddr("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen address %q: %w; use host:port, such as %s", cfg.Listen, err, DefaultListen)
	}
	if !addr.IP.IsLoopback() && !cfg.Insecure {
		return nil, fmt.Errorf("listening on %s exposes the table to the network without authentication; "+
			"pass --insecure if the network is trusted", cfg.Listen)
	}
	ln, err := net.ListenTCP("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("port %d of %s is taken; stop what listens there or choose another port with -p: %w",
			addr.Port, cfg.Listen, err)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("port %d of %s is not allowed for this user; choose one above 1023 with -p: %w",
			addr.Port, cfg.Listen, err)
	case err != nil:
		return nil, fmt.Errorf("cannot listen on %s: %w; is that an address of this machine?", cfg.Listen, err)
	}
	return ln, nil
}

// listenerURL is how this listener is reached, from this machine unless there is something to advertise.
func listenerURL(ln net.Listener, advertise string) string {
	host, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil { // a TCP listener's address is host:port
		return "http://" + ln.Addr().String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if advertise != "" {
			host = advertise
		}
	}
	return "http://" + net.JoinHostPort(host, port)
}
