package broker

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strconv"
	"strings"
	"syscall"
)

// anyPort lets the operating system choose.
const anyPort = -1

// listener is an address that nats-server is to listen on, with the words for errors about it.
type listener struct {
	field string // of the Config
	flag  string // that sets the port
	what  string // who connects there
	host  string
	port  int
}

func (l listener) address() string { return net.JoinHostPort(l.host, strconv.Itoa(l.port)) }

func (l listener) validate() error {
	if l.port != anyPort && (l.port < 1 || l.port > 65535) {
		return fmt.Errorf("%w: %s is %d: use 1 to 65535 with %s, or -1 for a free one", ErrConfig, l.field, l.port, l.flag)
	}
	if strings.ContainsAny(l.host, "[]/ ") {
		return fmt.Errorf("%w: host %q of %s: give a bare name or address, without port, scheme or brackets", ErrConfig, l.host, l.field)
	}
	return nil
}

// distinct refuses one port for two.
func distinct(all []listener) error {
	for i, a := range all {
		for _, b := range all[i+1:] {
			if a.port == b.port && a.port > 0 {
				return fmt.Errorf("%w: %s and %s are both %d: choose another for one with %s or %s", ErrConfig, a.field, b.field, a.port, a.flag, b.flag)
			}
		}
	}
	return nil
}

// check tries to listen, so that a taken port is known, by name, before a server has started halfway.
func (l listener) check() error {
	port := max(l.port, 0) // 0 is any port to the operating system
	ln, err := net.Listen("tcp", net.JoinHostPort(l.host, strconv.Itoa(port)))
	if err == nil {
		return ln.Close()
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w: port %d on %s, for %s, is taken: choose another with %s: %w", ErrPort, l.port, l.host, l.what, l.flag, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: port %d on %s, for %s, is not allowed to this user: choose one above 1023 with %s: %w",
			ErrPort, l.port, l.host, l.what, l.flag, err)
	}
	return fmt.Errorf("%w: on %s, for %s: %w; is that an address of this machine?", ErrPort, l.address(), l.what, err)
}
