package main

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var hostPattern = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?$`)

// checkHost refuses what is no bare name or IP address.
func checkHost(flag, host string) error {
	if _, err := netip.ParseAddr(host); err == nil || hostPattern.MatchString(host) {
		return nil
	}
	bare := host
	if _, rest, ok := strings.Cut(bare, "://"); ok {
		bare, _, _ = strings.Cut(rest, "/")
	}
	if h, _, err := net.SplitHostPort(bare); err == nil {
		bare = h
	}
	if bare = strings.Trim(bare, "[]"); bare != host && checkHost(flag, bare) == nil {
		return usageError("%s %q: a host alone is needed, without scheme, port or brackets; type %s %s", flag, host, flag, bare)
	}
	return usageError("%s %q is no host; use a name or an IP address, such as %s 10.1.2.3", flag, host, flag)
}

// checkServer refuses an address of a NATS server that cannot be meant: scheme://host:port, where the scheme may be left
// out, and the port too unless it is needed. The password of a URL is not repeated.
func checkServer(flag, address string, needsPort bool, example string, schemes ...string) error {
	full := address
	if !strings.Contains(full, "://") {
		full = schemes[0] + "://" + full
	}
	u, err := url.Parse(full)
	if err != nil {
		return usageError("%s: this is no NATS URL; use %s", flag, example)
	}
	switch port, portErr := strconv.ParseUint(u.Port(), 10, 16); {
	case !slices.Contains(schemes, u.Scheme):
		return usageError("%s %s is no NATS URL: the scheme is %q; use %s, such as %s", flag, u.Redacted(), u.Scheme, strings.Join(schemes, ", "), example)
	case u.Hostname() == "":
		return usageError("%s %s has no host; use %s", flag, u.Redacted(), example)
	case u.Port() == "" && needsPort:
		return usageError("%s %s has no port; type %s %s://%s", flag, u.Redacted(), flag, u.Scheme, net.JoinHostPort(u.Hostname(), "7422"))
	case u.Port() != "" && (portErr != nil || port == 0):
		return usageError("%s %s: the port is out of range; use 1 to 65535", flag, u.Redacted())
	}
	return nil
}

// isWildcard: the host means all addresses of this machine.
func isWildcard(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsUnspecified()
}
