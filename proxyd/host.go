package proxyd

import (
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// hosts is what the proxy may be called in a request's Host header. A listener for this machine alone trusts whoever
// reaches it, and a browser here reaches it on behalf of any page whose name was rebound to 127.0.0.1: to the browser that
// is the page's own site. Such a page cannot choose the Host header, so only names that no page can have are taken. Beyond
// this machine any name may be the proxy's own.
type hosts struct {
	local     bool   // the listener is on loopback
	advertise string // is the proxy's own name
}

var hostPattern = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?$`)

func newHosts(ln net.Listener, advertise string) hosts {
	addr, ok := ln.Addr().(*net.TCPAddr)
	return hosts{local: ok && addr.IP.IsLoopback(), advertise: advertise}
}

// check is a problem 421 for a host that this proxy is not.
func (h hosts) check(host string) *huma.ErrorModel {
	if _, err := netip.ParseAddr(host); err == nil || h.advertise != "" && strings.EqualFold(host, h.advertise) {
		return nil
	}
	if !hostPattern.MatchString(host) {
		return problem(http.StatusBadRequest, "the Host header names %q, which is no host", shorten(host))
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if !h.local || name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return nil
	}
	return problem(http.StatusMisdirectedRequest, "this proxy listens on this machine alone and is not %q: a page of that name could be behind it; "+
		"ask for an IP address or localhost, or start the proxy with --advertise %s", shorten(host), shorten(host))
}
