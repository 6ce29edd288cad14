package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/listener"
	"github.com/damrey/damrey/internal/shell"
)

// audience is who takes messages of direct routes, as far as proxies and servers tell.
type audience struct {
	known   bool            // somebody told
	workers map[string]bool // somebody takes their messages who may
	foreign []api.Listener  // each once
	more    int             // subscriptions that were left out
	unheard []finding       // who did not tell
}

// audience asks once: each proxy of the fabric about its own broker, and where one cannot tell, the servers about the
// connections of this login's account.
func (d *doctor) audience(ctx context.Context) (*audience, error) {
	if d.asked != nil {
		return d.asked, nil
	}
	a := &audience{workers: make(map[string]bool)}
	whole := d.fabric != nil
	for i, url := range d.proxies() {
		list, err := d.listenersAt(ctx, i, url)
		switch {
		case err != nil:
			a.unheard = append(a.unheard, unheard(url, err))
			whole = false
		case !list.Known:
			whole = false
		default:
			a.add(list)
		}
	}
	if !whole || slices.ContainsFunc(a.foreign, d.isHere) {
		if err := d.askServers(ctx, a); err != nil {
			return nil, err
		}
	}
	d.asked = a
	return a, ctx.Err()
}

// proxies are those of the fabric, the one that was asked first.
func (d *doctor) proxies() []string {
	if d.fabric == nil {
		return nil
	}
	return d.fabric.Proxies
}

// listenersAt asks the first by the address that it was reached at, which may be another than it tells.
func (d *doctor) listenersAt(ctx context.Context, i int, url string) (api.ListenerList, error) {
	if i == 0 {
		return d.client.Listeners(ctx)
	}
	other, err := api.New(url)
	if err != nil {
		return api.ListenerList{}, err
	}
	defer other.Close()
	return other.Listeners(ctx)
}

func unheard(url string, err error) finding {
	f := finding{Severity: note, Where: "proxy " + url, What: "it does not tell who subscribes at its broker: " + err.Error(),
		Do: "damrey doctor --proxy " + shell.Word(url), Hint: "on its machine"}
	if refused, ok := errors.AsType[*api.Error](err); ok && refused.Status == http.StatusNotFound {
		f.What, f.Do, f.Hint = "it is of a version that does not tell who subscribes at its broker", "damrey version", "there; upgrade it"
	}
	return f
}

func (a *audience) add(list api.ListenerList) {
	a.known = true
	a.more += list.More
	for _, worker := range list.Workers {
		a.workers[worker] = true
	}
	for _, l := range list.Foreign {
		if !slices.ContainsFunc(a.foreign, func(known api.Listener) bool { return sameListener(known, l) }) {
			a.foreign = append(a.foreign, l)
		}
	}
}

// sameListener: a proxy and a server may both tell of it, each under the name that it knows.
func sameListener(a, b api.Listener) bool {
	return a.Subject == b.Subject && a.Queue == b.Queue && a.Address == b.Address && (a.Address != "" || a.Name == b.Name)
}

// isHere: it is behind the agent that this program is connected to, which knows its name.
func (d *doctor) isHere(l api.Listener) bool {
	return d.nc != nil && l.Agent != "" && l.Agent == d.nc.ConnectedServerName()
}

// connection is one that subscribes to messages, as a server tells of it.
type connection struct {
	Kind          string    `json:"kind"`
	Name          string    `json:"name"`
	IP            string    `json:"ip"`
	Port          int       `json:"port"`
	Start         time.Time `json:"start"`
	Subscriptions []struct {
		Subject string `json:"subject"`
		Queue   string `json:"qgroup"`
	} `json:"subscriptions_list_detail"`
}

// manyConnections is the most that one server tells of.
const manyConnections = 1 << 16

// askServers asks all servers for the connections of this login's account; agents stand for their machines. Not every login
// may ask. An agent that tells of its own clients knows more than who told of the agent.
func (d *doctor) askServers(ctx context.Context, a *audience) error {
	if d.nc == nil {
		return nil
	}
	question, err := json.Marshal(map[string]any{"subscriptions_detail": true, "filter_subject": listener.Messages(d.prefix), "limit": manyConnections})
	if err != nil {
		return err
	}
	told := make(map[string]bool)
	err = d.gather(ctx, "$SYS.REQ.ACCOUNT.PING.CONNZ", question, func(data []byte) {
		var answer struct {
			Server struct {
				Name string `json:"name"`
			} `json:"server"`
			Data struct {
				Connections []connection `json:"connections"`
			} `json:"data"`
			Error any `json:"error"`
		}
		if json.Unmarshal(data, &answer) != nil || answer.Error != nil {
			return
		}
		told[answer.Server.Name] = true
		a.add(d.listed(answer.Data.Connections))
	})
	a.foreign = slices.DeleteFunc(a.foreign, func(l api.Listener) bool { return l.Agent != "" && told[l.Agent] })
	return err
}

// listed are connections in the words of a proxy's answer.
func (d *doctor) listed(connections []connection) (list api.ListenerList) {
	for _, c := range connections {
		who := api.Listener{Name: c.Name, Since: c.Start}
		if c.Port != 0 {
			who.Address = net.JoinHostPort(c.IP, strconv.Itoa(c.Port))
		}
		if c.Kind == "Leafnode" {
			who.Name = "somebody behind a leaf node"
		}
		for _, s := range c.Subscriptions {
			switch {
			case !listener.Takes(d.prefix, s.Subject, "*"):
			case listener.Rightful(d.prefix, s.Subject, s.Queue):
				list.Workers = append(list.Workers, s.Queue)
			default:
				who.Subject, who.Queue, who.Worker = s.Subject, s.Queue, listener.Worker(s.Subject)
				list.Foreign = append(list.Foreign, who)
			}
		}
	}
	return list
}

// listenerText says who it is.
func listenerText(l api.Listener) string {
	who, at := orDash(l.Name), ""
	if l.Agent != "" {
		who = "somebody at the agent " + l.Agent
	}
	switch {
	case l.Address != "":
		at = " at " + l.Address
	case l.Agent == "":
		at = " within the broker's process"
	}
	return fmt.Sprintf("%s%s, connected since %s", who, at, l.Since.Local().Format(time.RFC3339))
}
