package agentd

import (
	"encoding/json"
	"fmt"
	"runtime"

	"github.com/nats-io/nats.go/micro"

	"github.com/damrey/damrey"
)

// serviceName in `nats micro ls`.
const serviceName = "damrey-agent"

// Info is what an agent tells about itself, in the data of its statistics (`nats micro stats damrey-agent`) and on
// <prefix>.local.agent.
type Info struct {
	// Name of the agent.
	Name string `json:"name"`
	// Fabric is its prefix.
	Fabric string `json:"fabric"`
	// Uplink is whether the link to the broker is up.
	Uplink bool `json:"uplink"`
	// Stale is whether the table may be older than the broker's.
	Stale bool `json:"stale"`
	// Rows of the table.
	Rows int `json:"rows"`
	// Held is whether the proxy has granted the name to this process.
	Held bool `json:"held"`
	// Refused counts questions for rows whose reply subject was no inbox.
	Refused uint64 `json:"refused"`
	// Goroutines of the agent's process, those of its NATS server among them.
	Goroutines int `json:"goroutines"`
	// Bridge has counted the traffic of programs without the library.
	Bridge damrey.Stats `json:"bridge"`
}

// Info at this moment.
func (a *Agent) Info() Info {
	return Info{
		Name: a.member.Name, Fabric: a.member.Fabric.Prefix,
		Uplink: a.up.Load(), Stale: a.Stale(), Rows: len(a.watcher.Table().Rows()),
		Held: a.member.held.Load(), Refused: a.refused.Load(), Goroutines: runtime.NumGoroutine(), Bridge: a.bridge.Stats(),
	}
}

// announce makes the agent a NATS micro service, so that `nats micro ls` lists it. What changes is in the statistics, as
// a service's metadata cannot change.
func (a *Agent) announce() (micro.Service, error) {
	prefix := a.member.Fabric.Prefix
	service, err := micro.AddService(a.nc, micro.Config{
		Name:        serviceName,
		Version:     damrey.Version,
		Description: "links one machine to the fabric",
		Metadata:    map[string]string{"fabric": prefix, "agent": a.member.Name, "host": a.member.claim.Host},
		StatsHandler: func(*micro.Endpoint) any {
			return a.Info()
		},
		QueueGroupDisabled: true,
		Endpoint:           &micro.EndpointConfig{Subject: prefix + ".local.agent", Handler: micro.HandlerFunc(a.answerInfo)},
	})
	if err != nil {
		return nil, fmt.Errorf("agentd: cannot register the NATS service %s: %w", serviceName, err)
	}
	return service, nil
}

func (a *Agent) answerInfo(r micro.Request) {
	if !a.mayAnswer(r.Reply()) {
		return
	}
	data, err := json.Marshal(a.Info())
	if err == nil {
		err = r.Respond(data)
	}
	if err != nil {
		a.cfg.Log.Error().Err(err).Msg("a question for the agent's state could not be answered")
	}
}
