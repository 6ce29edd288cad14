package proxyd

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/damrey/damrey/internal/api"
)

type fabricAnswer struct{ Body api.Fabric }

// fabric is GET /v1/fabric.
func (p *Proxy) fabric(ctx context.Context, _ *struct{}) (*fabricAnswer, error) {
	host := p.cfg.Advertise
	if host == "" {
		host = callerOf(ctx).host
	}
	where, err := p.addresses().and(p.others.list(ctx)).from(host)
	if err != nil {
		return nil, err
	}
	return &fabricAnswer{Body: api.Fabric{
		Prefix: p.cfg.Prefix, Domain: p.cfg.Domain, Version: p.cfg.Version,
		NATS: where.NATS, Leaf: where.Leaf, Proxies: where.Proxies, MaxPayload: int(p.store.nc.MaxPayload()), ReadOnly: p.cfg.ReadOnly,
	}}, nil
}

// addresses of this proxy and its broker.
func (p *Proxy) addresses() addresses {
	return addresses{NATS: p.cfg.NATSURLs, Leaf: p.cfg.LeafURLs, Proxies: []string{p.URL()}}
}

// told is what the other proxies are told of the addresses.
func (p *Proxy) told() addresses {
	own := p.addresses()
	if told, err := own.from(p.cfg.Advertise); err == nil {
		return told
	}
	return own // not so: the URLs were looked at when the proxy was made
}

// reachable turns URLs as they were configured into URLs as one on another machine needs them: a loopback or wildcard host
// means this machine, which others know as host. Users and passwords stay here.
func reachable(raw []string, host string) ([]string, error) {
	out := make([]string, 0, len(raw))
	for _, r := range raw {
		u, err := parseURL(r)
		if err != nil {
			return nil, err
		}
		u.User = nil
		if thisMachine(u.Hostname()) && host != "" {
			if port := u.Port(); port != "" {
				u.Host = net.JoinHostPort(host, port)
			} else {
				u.Host = host
			}
		}
		out = append(out, u.String())
	}
	return out, nil
}

func parseURL(raw string) (*url.URL, error) {
	full := raw
	if !strings.Contains(full, "://") {
		full = "nats://" + full
	}
	u, err := url.Parse(full)
	if err != nil {
		return nil, fmt.Errorf("a NATS URL of %d characters cannot be read; use nats://host:port", len(raw)) // it may hold a password
	}
	return u, nil
}

func thisMachine(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || strings.EqualFold(host, "localhost") || ip != nil && (ip.IsLoopback() || ip.IsUnspecified())
}

func (p *Proxy) routeFabric(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "get-fabric", Method: http.MethodGet, Path: "/v1/fabric", Tags: []string{"fabric"},
		Summary: "What a program on another machine needs to take part",
	}, look(p.fabric))
}
