package proxyd

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/report"
	"github.com/damrey/damrey/internal/view"
)

type agentsAnswer struct{ Body api.AgentList }

type leaseAnswer struct{ Body api.Lease }

type claimAgent struct {
	Name string `path:"name" doc:"Name of the agent, its advertised address" example:"10.1.2.3:4222"`
	Body api.Claim
}

type releaseAgent struct {
	Name string `path:"name" doc:"Name of the agent, its advertised address" example:"10.1.2.3:4222"`
	ID   string `query:"id" required:"true" doc:"The id with which it was claimed"`
}

// listAgents is GET /v1/agents.
func (p *Proxy) listAgents(ctx context.Context, _ *struct{}) (*agentsAnswer, error) {
	records, now, err := p.leases.list(ctx)
	if err != nil {
		return nil, err
	}
	list := api.AgentList{Agents: make([]api.Agent, 0, len(records))}
	for _, r := range records {
		name, err := agentOf(r.key)
		var c api.Claim
		if err == nil {
			err = json.Unmarshal(r.value, &c)
		}
		if err != nil {
			p.cfg.Log.Error().Err(err).Str("key", r.key).Msg("the claim of an agent cannot be read")
			list.Damaged = append(list.Damaged, api.Damaged{Name: cmp.Or(name, r.key), Problem: err.Error()})
			continue
		}
		list.Agents = append(list.Agents, api.Agent{
			Name: name, Host: c.Host, PID: c.PID, Since: c.Since, Renewed: r.created.UTC(),
			Held: now.Before(r.created.Add(p.cfg.Lease)),
		})
	}
	p.describeAgents(list.Agents)
	slices.SortFunc(list.Agents, func(a, b api.Agent) int { return cmp.Compare(a.Name, b.Name) })
	return &agentsAnswer{Body: list}, nil
}

// describeAgents adds what the agents say of themselves.
func (p *Proxy) describeAgents(agents []api.Agent) {
	now := p.seen.clock.Now()
	said := make(map[string]view.Daemon)
	for _, d := range p.seen.view.Agents(now) {
		if before, there := said[d.Name]; !there || before.Heard.Before(d.Heard) {
			said[d.Name] = d
		}
	}
	at := make(map[string]int)
	for _, i := range p.seen.view.Instances(now).Instances {
		if i.State != string(report.Left) && i.State != view.Lost {
			at[i.Agent]++
		}
	}
	for n := range agents {
		a := &agents[n]
		a.Instances = at[a.Name]
		if d, there := said[a.Name]; there {
			a.State, a.Version, a.Started, a.Heard, a.Skew = d.State, d.Version, d.Started, d.Heard, d.Skew
		}
	}
}

// claimAgent is PUT /v1/agents/{name}.
func (p *Proxy) claimAgent(ctx context.Context, in *claimAgent) (*leaseAnswer, error) {
	if err := checkAgentName(in.Name); err != nil {
		return nil, err
	}
	lease, replaced, err := p.leases.claim(ctx, in.Name, in.Body)
	if err != nil {
		return nil, err
	}
	if replaced != nil {
		p.cfg.Log.Info().Str("agent", in.Name).Str("by", callerOf(ctx).addr).Str("host", in.Body.Host).Int("pid", in.Body.PID).
			Str("former_host", replaced.Host).Int("former_pid", replaced.PID).Msg("the name of an agent changed hands")
	}
	return &leaseAnswer{Body: lease}, nil
}

// releaseAgent is DELETE /v1/agents/{name}.
func (p *Proxy) releaseAgent(ctx context.Context, in *releaseAgent) (*struct{}, error) {
	if err := checkAgentName(in.Name); err != nil {
		return nil, err
	}
	return nil, p.leases.release(ctx, in.Name, in.ID)
}

func checkAgentName(name string) error {
	if err := damrey.CheckAgentName(name); err != nil {
		return wrongField(http.StatusUnprocessableEntity, "path", &damrey.FieldError{Field: "agent", Problem: err.Error()}, shorten(name))
	}
	return nil
}

func (p *Proxy) routeAgents(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "list-agents", Method: http.MethodGet, Path: "/v1/agents", Tags: []string{"agents"},
		Summary: "List the agents whose names were claimed",
	}, look(p.listAgents))
	huma.Register(a, huma.Operation{
		OperationID: "claim-agent", Method: http.MethodPut, Path: "/v1/agents/{name}", Tags: []string{"agents"},
		Summary:     "Claim or renew the name of an agent",
		Description: "The same id renews or takes over; another id is refused with 409 until the lease is over.",
	}, answer(p.claimAgent))
	huma.Register(a, huma.Operation{
		OperationID: "release-agent", Method: http.MethodDelete, Path: "/v1/agents/{name}", Tags: []string{"agents"},
		Summary: "Give the name of an agent back", DefaultStatus: http.StatusNoContent,
	}, answer(p.releaseAgent))
}
