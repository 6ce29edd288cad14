package proxyd

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/listener"
)

// Subscriber is a subscription at the broker that takes messages of direct routes.
type Subscriber struct {
	// Subject as it was subscribed, and its queue group, empty without.
	Subject string
	Queue   string
	// Name of the connection; of a leaf node the agent's.
	Name string
	// Leaf says that the connection is a leaf node.
	Leaf bool
	// Address is the connection's ip:port. Empty: it is within this process.
	Address string
	// Since is when the connection was made.
	Since time.Time
}

type listenersAnswer struct{ Body api.ListenerList }

// externalWhy is what is said where there is no broker to ask.
const externalWhy = "this proxy uses a NATS of its own operator's (--nats), which does not tell it who subscribes; " +
	"`nats server request connections --subscriptions` with a login of the system account does"

// listeners is GET /v1/listeners.
func (p *Proxy) listeners(context.Context, *struct{}) (*listenersAnswer, error) {
	list := api.ListenerList{Foreign: []api.Listener{}, Workers: []string{}}
	if p.cfg.Subscribers == nil {
		list.Why = externalWhy
		return &listenersAnswer{Body: list}, nil
	}
	subscribers, more, err := p.cfg.Subscribers(listener.Messages(p.cfg.Prefix))
	if err != nil {
		return nil, problem(http.StatusServiceUnavailable, "%v; try again", err)
	}
	list.Known, list.More = true, more
	for _, s := range subscribers {
		switch {
		case listener.Rightful(p.cfg.Prefix, s.Subject, s.Queue):
			list.Workers = append(list.Workers, s.Queue)
		case len(list.Foreign) == api.MaxListeners:
			list.More++
		default:
			list.Foreign = append(list.Foreign, s.listener())
		}
	}
	slices.Sort(list.Workers)
	list.Workers = slices.Compact(list.Workers)
	return &listenersAnswer{Body: list}, nil
}

func (s Subscriber) listener() api.Listener {
	l := api.Listener{Subject: s.Subject, Queue: s.Queue, Worker: listener.Worker(s.Subject), Name: s.Name, Address: s.Address, Since: s.Since.UTC()}
	if s.Leaf {
		l.Name, l.Agent = "", s.Name
	}
	return l
}

func (p *Proxy) routeListeners(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "list-listeners", Method: http.MethodGet, Path: "/v1/listeners", Tags: []string{"network"},
		Summary: "List who subscribes to messages and is no worker",
		Description: "While there is such a subscription NATS takes it for somebody who handles the message: nobody-there becomes TIMEOUT instead of STOP, " +
			"and a send to nobody goes unnoticed. Of a cluster each proxy tells of the clients and agents of its own broker.",
	}, answer(p.listeners))
}
