package proxyd

import (
	"fmt"
	"regexp"
	"time"

	"github.com/nats-io/nats.go/micro"

	"github.com/damrey/damrey/internal/service"
)

// serviceName in `nats micro ls`.
const serviceName = "damrey-proxy"

// semantic versions, as https://semver.org gives them. NATS services have no other.
var semantic = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)` +
	`(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?$`)

// announce lists the proxy in `nats micro ls`.
func (p *Proxy) announce(id string) (stop func(), err error) {
	version := p.cfg.Version
	if !semantic.MatchString(version) {
		version = "0.0.0"
	}
	started := time.Now().UTC()
	listed, err := service.Answer(p.store.nc, serviceName, id, service.Config{
		Info: func() micro.Info {
			return micro.Info{
				ServiceIdentity: micro.ServiceIdentity{Name: serviceName, ID: id, Version: version, Metadata: map[string]string{
					"fabric": p.cfg.Prefix, "url": p.URL(),
				}},
				Description: "keeps the routing table and serves it over REST",
				Endpoints:   infos(p.endpoint()),
			}
		},
		Stats: func() micro.Stats {
			stats := micro.Stats{Started: started, Endpoints: []*micro.EndpointStats{}}
			if _, bridge := p.endpoint(); bridge != nil {
				stats.Endpoints = append(stats.Endpoints, bridge)
			}
			return stats
		},
		MayAnswer: p.replies.mayAnswer,
		Failed: func(err error) {
			p.cfg.Log.Warn().Err(err).Msg("a question of NATS's service discovery could not be answered")
		},
	})
	if err != nil {
		return nil, fmt.Errorf("cannot register the NATS service %s: %w", serviceName, err)
	}
	return listed.Stop, nil
}

// endpoint is the bridge's; nil when there is none here. What the proxy does besides is asked for over REST.
func (p *Proxy) endpoint() (micro.EndpointInfo, *micro.EndpointStats) {
	if p.cfg.Bridge == nil {
		return micro.EndpointInfo{}, nil
	}
	return p.cfg.Bridge.Endpoint()
}

func infos(info micro.EndpointInfo, stats *micro.EndpointStats) []micro.EndpointInfo {
	if stats == nil {
		return []micro.EndpointInfo{}
	}
	return []micro.EndpointInfo{info}
}
