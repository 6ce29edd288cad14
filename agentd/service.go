package agentd

import (
	"encoding/json"
	"fmt"
	"runtime"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/service"
)

const (
	serviceName  = "damrey-agent" // in `nats micro ls`
	endpointName = "default"      // of its questions
)

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
	// Refused counts questions whose reply subject was no inbox.
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

// announce lists the agent in `nats micro ls`. What changes is in the statistics.
func (a *Agent) announce(id string) (stop func(), err error) {
	questions := &ownQuestions{subject: a.member.Fabric.Prefix + ".local.agent", since: time.Now().UTC()}
	sub, err := a.nc.Subscribe(questions.subject, func(m *nats.Msg) { questions.count(a.answerInfo, m) })
	if err != nil {
		return nil, fmt.Errorf("agentd: cannot subscribe %s: %w", questions.subject, err)
	}
	listed, err := service.Answer(a.nc, serviceName, id, service.Config{
		Info: func() micro.Info {
			bridge, _ := a.bridge.Endpoint()
			return micro.Info{
				ServiceIdentity: micro.ServiceIdentity{Name: serviceName, ID: id, Version: damrey.Version, Metadata: map[string]string{
					"fabric": a.member.Fabric.Prefix, "agent": a.member.Name, "host": a.member.claim.Host,
				}},
				Description: "links one machine to the fabric",
				Endpoints:   []micro.EndpointInfo{{Name: endpointName, Subject: questions.subject}, bridge},
			}
		},
		Stats: func() micro.Stats {
			stats := questions.stats(a.Info())
			_, bridge := a.bridge.Endpoint()
			stats.Endpoints = append(stats.Endpoints, bridge)
			return stats
		},
		MayAnswer: a.mayAnswer,
		Failed: func(err error) {
			a.cfg.Log.Error().Err(err).Msg("a question of NATS's service discovery could not be answered")
		},
	})
	unsubscribe := func() { _ = sub.Unsubscribe() } // fails only on a closed connection, where it is gone anyway
	if err != nil {
		unsubscribe()
		return nil, fmt.Errorf("agentd: cannot register the NATS service %s: %w", serviceName, err)
	}
	return func() { unsubscribe(); listed.Stop() }, nil
}

func (a *Agent) answerInfo(m *nats.Msg) error {
	if !a.mayAnswer(m.Reply) {
		return nil
	}
	data, err := json.Marshal(a.Info())
	if err == nil {
		err = m.Respond(data)
	}
	if err != nil {
		a.cfg.Log.Error().Err(err).Msg("a question for the agent's state could not be answered")
	}
	return err
}
