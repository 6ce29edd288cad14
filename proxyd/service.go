package proxyd

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/micro"
)

// serviceName in `nats micro ls`.
const serviceName = "damrey-proxy"

// announce makes the proxy a NATS micro service, so that `nats micro ls` lists it.
func (p *Proxy) announce() (micro.Service, error) {
	config := micro.Config{
		Name:        serviceName,
		Version:     p.cfg.Version,
		Description: "keeps the routing table and serves it over REST",
		Metadata:    map[string]string{"fabric": p.cfg.Prefix, "url": p.URL()},
	}
	service, err := micro.AddService(p.store.nc, config)
	if errors.Is(err, micro.ErrConfigValidation) {
		config.Version = "0.0.0" // the version is the only part of it that a caller chooses freely
		service, err = micro.AddService(p.store.nc, config)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot register the NATS service %s: %w", serviceName, err)
	}
	return service, nil
}
