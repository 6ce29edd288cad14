package broker

import (
	"fmt"
	"net/netip"
	"strings"
)

// refuseOpen is an error unless the listener is for this machine alone. remedy is what would make it safe, if anything.
func (l listener) refuseOpen(remedy string) error {
	if isLoopback(l.host) {
		return nil
	}
	if remedy != "" {
		remedy = "set " + remedy + ", or "
	}
	return fmt.Errorf("%w: %s is beyond this machine, and %s would connect there without authentication: %stype --insecure if that is meant",
		ErrOpenListen, l.address(), l.what, remedy)
}

// isLoopback decides by the text alone: a name could resolve to something else a moment later.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") { // RFC 6761, section 6.3: always this machine
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// reachable turns "all interfaces" into an address that one can connect to from this machine.
func reachable(host string) string {
	addr, err := netip.ParseAddr(host)
	if err != nil || !addr.IsUnspecified() {
		return host
	}
	if addr.Is4() {
		return "127.0.0.1"
	}
	return "::1"
}
