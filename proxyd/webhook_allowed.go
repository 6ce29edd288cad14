package proxyd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
)

// allowed are the addresses that webhooks may have, by the configuration.
type allowed struct {
	raw     []string
	places  []place
	private []netip.Prefix // addresses that may be reached, on any port, though they are of this machine or of a private network
}

// place is a URL prefix, or a host.
type place struct {
	scheme string // empty: http and https
	host   string // in small letters
	port   string // empty: any, or the scheme's
	path   string // empty: any
}

const placeExample = "https://hooks.example.com/damrey/, hooks.example.com, or an address such as 10.1.2.3 or 10.1.0.0/16"

// parseAllowed reads what the configuration says.
func parseAllowed(raw []string) (a allowed, err error) {
	a.raw = raw
	for _, text := range raw {
		if err := a.add(strings.TrimSpace(text)); err != nil {
			return a, fmt.Errorf("webhook address %q: %w; use %s", shorten(text), err, placeExample)
		}
	}
	return a, nil
}

func (a *allowed) add(text string) error {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		a.private = append(a.private, unmapped(prefix).Masked())
		return nil
	}
	if ip, err := netip.ParseAddr(text); err == nil {
		if ip.Zone() != "" {
			return fmt.Errorf("leave the zone %q out", ip.Zone())
		}
		ip = ip.Unmap()
		a.private = append(a.private, netip.PrefixFrom(ip, ip.BitLen()))
		return nil
	}
	full := text
	if !strings.Contains(text, "://") {
		full = "any://" + text
	}
	u, err := url.Parse(full)
	switch {
	case err != nil:
		return fmt.Errorf("it cannot be read")
	case u.Scheme != "any" && u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("the scheme %q is neither http nor https", u.Scheme)
	case u.Hostname() == "" || strings.Contains(u.Host, "*"):
		return fmt.Errorf("there is no host in it")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("no user, query or fragment can be in it")
	case u.Scheme == "any" && u.Path != "":
		return fmt.Errorf("a path needs http:// or https:// before it")
	case !isClean(u.Path):
		return errUnclean
	}
	p := placeOf(u)
	if u.Scheme == "any" {
		p.scheme, p.port = "", u.Port()
	}
	a.places = append(a.places, p)
	return nil
}

// unmapped is a network of IPv4 also when it is written as one of IPv6.
func unmapped(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

func placeOf(u *url.URL) place {
	p := place{scheme: u.Scheme, host: hostOf(u.Hostname()), port: u.Port(), path: strings.TrimSuffix(u.EscapedPath(), "/")}
	if p.port == "" {
		p.port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return p
}

// hostOf is a host as it is compared.
func hostOf(name string) string {
	if ip, err := netip.ParseAddr(name); err == nil {
		return ip.String()
	}
	return strings.ToLower(name)
}

var errUnclean = errors.New("the path is not clean; leave . and .. and double slashes and backslashes out, also encoded ones")

// isClean says whether every server takes a path for the same one, also one that decodes it once more than it should.
func isClean(p string) bool {
	for {
		if strings.Contains(p, "\\") || strings.Contains(p, "//") {
			return false
		}
		for segment := range strings.SplitSeq(p, "/") {
			if name, _, _ := strings.Cut(segment, ";"); name == "." || name == ".." {
				return false
			}
		}
		decoded, err := url.PathUnescape(p)
		if err != nil || decoded == p {
			return true
		}
		p = decoded
	}
}

// check says why nothing may be posted to a URL.
func (a allowed) check(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Opaque != "":
		return nil, fmt.Errorf("it is no URL; use one such as https://hooks.example.com/damrey")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("the scheme %q is neither http nor https", shorten(u.Scheme))
	case u.Hostname() == "":
		return nil, fmt.Errorf("there is no host in it")
	case u.User != nil:
		return nil, fmt.Errorf("no user or password may be in it; use a secret")
	case u.Fragment != "":
		return nil, fmt.Errorf("no fragment may be in it")
	case !isClean(u.Path):
		return nil, errUnclean
	}
	asked := placeOf(u)
	for _, p := range a.places {
		if p.holds(asked) {
			return u, nil
		}
	}
	ip, err := netip.ParseAddr(asked.host)
	switch ip = ip.Unmap(); {
	case err == nil && a.listed(ip):
		return u, nil
	case err == nil && ip.IsLinkLocalUnicast():
		return nil, fmt.Errorf("the proxy's configuration does not allow it: %s is a link-local address, where clouds give out credentials", ip)
	}
	return nil, fmt.Errorf("the proxy's configuration does not allow it: start the proxy with --webhook %s://%s/", u.Scheme, u.Host)
}

func (p place) holds(asked place) bool {
	return (p.scheme == "" || p.scheme == asked.scheme) && p.host == asked.host && (p.port == "" || p.port == asked.port) &&
		(p.path == "" || asked.path == p.path || strings.HasPrefix(asked.path, p.path+"/"))
}

func (a allowed) listed(ip netip.Addr) bool {
	for _, p := range a.private {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// dial connects to the host and port of a URL that check has let through.
func (a allowed) dial(ctx context.Context, network, asked string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: hookTime / 2, Control: func(_, address string, _ syscall.RawConn) error { return a.reach(asked, address) }}
	return dialer.DialContext(ctx, network, asked)
}

// reach looks at the address that a name was resolved to, just before a connection to it is made: what it was a moment
// before may have been another.
func (a allowed) reach(asked, address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return err
	}
	ip = ip.Unmap().WithZone("")
	if a.listed(ip) || a.names(asked, ip) {
		return nil
	}
	why := notPublic(ip)
	switch {
	case why == "":
		return nil
	case ip.IsLinkLocalUnicast():
		return fmt.Errorf("%s is %s, which webhooks do not reach", ip, why)
	}
	return fmt.Errorf("%s is %s, which webhooks do not reach; start the proxy with --webhook %s too if it is meant", ip, why, ip)
}

// names says whether what was asked for is an address itself, not a name for it, and stands in a URL of the configuration
// with this port.
func (a allowed) names(asked string, ip netip.Addr) bool {
	host, port, err := net.SplitHostPort(asked)
	if err != nil {
		return false
	}
	literal, err := netip.ParseAddr(host)
	if err != nil || literal.Unmap().WithZone("") != ip {
		return false
	}
	for _, p := range a.places {
		if p.host == literal.String() && (p.port == "" || p.port == port) {
			return true
		}
	}
	return false
}

// special are addresses that are not of the public network, besides those that netip knows.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("2001::/32"), netip.MustParsePrefix("fec0::/10"),
	netip.MustParsePrefix("::/96"),
}

// notPublic says what an address is that is not of the public network, or is this machine's own; empty for all others.
func notPublic(ip netip.Addr) string {
	switch {
	case ip.IsLoopback(), ip.IsUnspecified():
		return "this machine"
	case ip.IsPrivate():
		return "an address of a private network"
	case ip.IsLinkLocalUnicast(), ip.IsLinkLocalMulticast(), ip.IsInterfaceLocalMulticast():
		return "a link-local address"
	case ip.IsMulticast():
		return "a multicast address"
	}
	for _, p := range special {
		if p.Contains(ip) {
			return "an address that is not of the public network"
		}
	}
	if isOwn(ip) {
		return "this machine"
	}
	return ""
}

func isOwn(ip netip.Addr) bool {
	own, err := net.InterfaceAddrs()
	if err != nil {
		return true // not known: rather not
	}
	for _, addr := range own {
		if n, ok := addr.(*net.IPNet); ok {
			if a, ok := netip.AddrFromSlice(n.IP); ok && a.Unmap() == ip {
				return true
			}
		}
	}
	return false
}
