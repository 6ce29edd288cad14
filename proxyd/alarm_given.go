package proxyd

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/damrey/damrey/internal/alarm"
	"github.com/damrey/damrey/internal/api"
)

// fresh are the settings as they are stored now.
func (a *alarms) fresh(ctx context.Context) (*alarmSettings, error) {
	return a.refresh(ctx)
}

// put stores a setting, or removes it when it is nil, and takes it over.
func (a *alarms) put(ctx context.Context, key string, value any) error {
	if err := a.store.putAlarm(ctx, a.settings.name, key, value); err != nil {
		return err
	}
	_, err := a.refresh(ctx)
	return err
}

// isID says whether somebody means an alarm by what was typed: its id, where from.type.to stands for a route too.
func isID(asked, id string) bool { return asked == id || asked == strings.ReplaceAll(id, "→", ".") }

// lives is the id of an alarm, and a problem for one that there is not, or that is over.
func (a *alarms) lives(id string) (string, error) {
	list, err := a.all()
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(list, func(one api.Alarm) bool { return isID(id, one.ID) })
	switch {
	case i < 0:
		return "", problem(http.StatusNotFound, "there is no alarm %q; `damrey alarm ls` shows those that are", shorten(id))
	case list[i].State == api.AlarmResolved:
		return "", problem(http.StatusConflict, "alarm %q was resolved at %s; there is nothing to acknowledge", shorten(id), list[i].Since.Format(time.RFC3339))
	}
	return list[i].ID, nil
}

// applyGiven stores once what the configuration says: the rules that it names, and the webhooks that it names.
func (a *alarms) applyGiven(ctx context.Context) error {
	if a.given == nil {
		return nil
	}
	settings := a.current()
	for _, r := range a.given.Rules {
		if sameJSON(settings.rules[r.Name], r) {
			continue
		}
		if err := a.put(ctx, keyRule+r.Name, r); err != nil {
			return err
		}
	}
	if len(a.given.Webhooks) > 0 {
		kept := slices.DeleteFunc(slices.Clone(settings.webhooks), func(h api.Webhook) bool {
			return slices.ContainsFunc(a.given.Webhooks, func(g api.Webhook) bool { return g.Name == h.Name })
		})
		list, err := a.hooks.parse("", a.given.Webhooks, settings.webhooks)
		if err != nil {
			return err
		}
		list = append(list, kept...)
		slices.SortFunc(list, func(a, b api.Webhook) int { return cmp.Compare(a.Name, b.Name) })
		if !sameJSON(list, settings.webhooks) {
			if err := a.put(ctx, keyHooks, list); err != nil {
				return err
			}
		}
	}
	a.given = nil
	return nil
}

func sameJSON(a, b any) bool {
	left, err := json.Marshal(a)
	right, err2 := json.Marshal(b)
	return err == nil && err2 == nil && string(left) == string(right)
}

// checkAlarms finds what is wrong with the configuration before anything runs.
func (c Config) checkAlarms() error {
	hooks, err := newWebhooks(c, nil)
	if err != nil || c.Alarms == nil {
		return err
	}
	for i, r := range c.Alarms.Rules {
		if _, err := alarm.Parse(r); err != nil {
			return fmt.Errorf("alarms: rules[%d].%w", i, err)
		}
	}
	if _, err := hooks.parse("", c.Alarms.Webhooks, nil); err != nil {
		return fmt.Errorf("alarms: webhooks: %w", err)
	}
	return nil
}

// newAlarms wires what watches for alarms.
func (p *Proxy) newAlarms() error {
	hooks, err := newWebhooks(p.cfg, p.URL)
	if err != nil {
		return err
	}
	p.known = &alarmFacts{store: p.store, leases: p.leases, table: p.keeper.current, node: p.cfg.Node, disk: p.cfg.Disk}
	p.known.network, p.known.daemons = p.streams.documents, p.seen.daemons
	p.alarms = newAlarms(p.store, p.cfg, hooks)
	p.alarms.facts = p.known.now
	p.seen.alarms, p.seen.tells = p.alarms.all, p.alarms.tells
	return nil
}

// watchAlarms runs until ctx ends and all that it has started is gone.
func (p *Proxy) watchAlarms(ctx context.Context) {
	defer p.alarms.hooks.start(ctx)()
	var surveying sync.WaitGroup
	surveying.Go(func() { p.known.run(ctx, p.ready, p.alarms.turn.mine) })
	defer surveying.Wait()
	p.alarms.run(ctx, p.ready)
}
