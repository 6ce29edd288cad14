package proxyd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nats-io/nuid"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/alarm"
	"github.com/damrey/damrey/internal/api"
)

const (
	maxSilence  = 366 * 24 * time.Hour
	maxSilences = 1000
)

type listAlarms struct {
	Rule   string `query:"rule" doc:"Only those of this rule"`
	Worker string `query:"worker" doc:"Only those about this worker"`
	State  string `query:"state" enum:"pending,firing,resolved" doc:"Only those in this state"`
}

type oneAlarm struct {
	ID string `path:"id" doc:"Id of the alarm; a route in it may be written from.type.to" example:"no_instance:square"`
}

type ackAlarm struct {
	ID   string `path:"id" doc:"Id of the alarm; a route in it may be written from.type.to" example:"no_instance:square"`
	Body api.Ack
}

type oneSilence struct {
	ID string `path:"id" doc:"Id of the silence"`
}

type addSilence struct{ Body api.Silence }

type oneRule struct {
	Name string `path:"name" doc:"Name of the rule" example:"errors"`
}

type putRule struct {
	Name string `path:"name" doc:"Name of the rule" example:"errors"`
	Body api.AlarmRuleChange
}

type putRules struct{ Body api.AlarmRuleChanges }

type putWebhooks struct{ Body api.WebhookList }

type (
	alarmsAnswer   struct{ Body api.AlarmList }
	ackAnswer      struct{ Body api.Ack }
	silencesAnswer struct{ Body api.SilenceList }
	silenceAnswer  struct{ Body api.Silence }
	rulesAnswer    struct{ Body api.AlarmRuleList }
	ruleAnswer     struct{ Body api.AlarmRule }
	webhooksAnswer struct{ Body api.WebhookList }
)

// listAlarms is GET /v1/alarms.
func (p *Proxy) listAlarms(_ context.Context, in *listAlarms) (*alarmsAnswer, error) {
	if in.Rule != "" && !slices.Contains(alarm.Names(), in.Rule) {
		text := ruleUnknown(in.Rule)
		return nil, at(problem(http.StatusUnprocessableEntity, "%s", text), "query.rule", text, shorten(in.Rule))
	}
	list, err := p.alarms.all()
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(a api.Alarm) bool {
		return in.Rule != "" && a.Rule != in.Rule || in.Worker != "" && a.Worker != in.Worker || in.State != "" && string(a.State) != in.State
	})
	return &alarmsAnswer{Body: api.AlarmList{Alarms: list}}, nil
}

// ackAlarm is POST /v1/alarms/{id}/ack.
func (p *Proxy) ackAlarm(ctx context.Context, in *ackAlarm) (*ackAnswer, error) {
	id, err := p.alarms.lives(in.ID)
	if err != nil {
		return nil, err
	}
	in.Body.At = time.Now().UTC().Truncate(time.Millisecond)
	if err := p.alarms.put(ctx, keyAck+key(id), in.Body); err != nil {
		return nil, err
	}
	p.cfg.Log.Info().Str("alarm", id).Str("who", in.Body.By).Str("by", callerOf(ctx).addr).Msg("alarm acknowledged")
	return &ackAnswer{Body: in.Body}, nil
}

// unackAlarm is DELETE /v1/alarms/{id}/ack.
func (p *Proxy) unackAlarm(ctx context.Context, in *oneAlarm) (*struct{}, error) {
	settings, err := p.alarms.fresh(ctx)
	if err != nil {
		return nil, err
	}
	for id := range settings.acks {
		if isID(in.ID, id) {
			return nil, p.alarms.put(ctx, keyAck+key(id), nil)
		}
	}
	return nil, problem(http.StatusNotFound, "nobody has acknowledged an alarm %q; `damrey alarm ls` shows them", shorten(in.ID))
}

// listSilences is GET /v1/silences.
func (p *Proxy) listSilences(ctx context.Context, _ *struct{}) (*silencesAnswer, error) {
	settings, err := p.alarms.fresh(ctx)
	if err != nil {
		return nil, err
	}
	list := api.SilenceList{Silences: []api.Silence{}}
	for _, s := range settings.silences {
		if s.Until.After(time.Now()) {
			list.Silences = append(list.Silences, s)
		}
	}
	return &silencesAnswer{Body: list}, nil
}

// addSilence is POST /v1/silences.
func (p *Proxy) addSilence(ctx context.Context, in *addSilence) (*silenceAnswer, error) {
	s := in.Body
	if err := checkSilence(s, time.Now()); err != nil {
		return nil, err
	}
	settings, err := p.alarms.fresh(ctx)
	if err != nil {
		return nil, err
	}
	if len(settings.silences) >= maxSilences {
		return nil, problem(http.StatusConflict, "there are %d silences already; remove some with `damrey alarm silence rm ID`", maxSilences)
	}
	s.ID, s.Until = nuid.Next(), s.Until.UTC()
	if err := p.alarms.put(ctx, keySilence+s.ID, s); err != nil {
		return nil, err
	}
	p.cfg.Log.Info().Str("id", s.ID).Str("rule", s.Rule).Str("worker", s.Worker).Str("who", s.By).Str("why", s.Why).Time("until", s.Until).
		Str("by", callerOf(ctx).addr).Msg("alarms silenced")
	return &silenceAnswer{Body: s}, nil
}

func checkSilence(s api.Silence, now time.Time) error {
	if s.Rule != "" && !slices.Contains(alarm.Names(), s.Rule) {
		return badAlarm("rule", s.Rule, "there is no such rule; there are %s", strings.Join(alarm.Names(), ", "))
	}
	if s.Worker != "" {
		if err := damrey.CheckWorkerName(s.Worker); err != nil {
			return badAlarm("worker", s.Worker, "%v", err)
		}
	}
	switch {
	case !s.Until.After(now):
		return badAlarm("until", s.Until.Format(time.RFC3339), "it has passed, it is %s", now.UTC().Format(time.RFC3339))
	case s.Until.Sub(now) > maxSilence:
		return badAlarm("until", s.Until.Format(time.RFC3339), "it is over a year away; switch the rule off instead")
	}
	return nil
}

// deleteSilence is DELETE /v1/silences/{id}.
func (p *Proxy) deleteSilence(ctx context.Context, in *oneSilence) (*struct{}, error) {
	settings, err := p.alarms.fresh(ctx)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(settings.silences, func(s api.Silence) bool { return s.ID == in.ID }) {
		return nil, problem(http.StatusNotFound, "there is no silence %q (any more); `damrey alarm silence ls` shows those that are", shorten(in.ID))
	}
	if err := p.alarms.put(ctx, keySilence+in.ID, nil); err != nil {
		return nil, err
	}
	p.cfg.Log.Info().Str("id", in.ID).Str("by", callerOf(ctx).addr).Msg("silence removed")
	return nil, nil
}

// listRules is GET /v1/alarm-rules.
func (p *Proxy) listRules(ctx context.Context, _ *struct{}) (*rulesAnswer, error) {
	settings, err := p.alarms.fresh(ctx)
	if err != nil {
		return nil, err
	}
	return &rulesAnswer{Body: rulesOf(settings)}, nil
}

func rulesOf(settings *alarmSettings) (list api.AlarmRuleList) {
	list.Rules = []api.AlarmRule{}
	for _, r := range settings.book.Rules() {
		list.Rules = append(list.Rules, r.Document())
	}
	return list
}

// getRule is GET /v1/alarm-rules/{name}.
func (p *Proxy) getRule(ctx context.Context, in *oneRule) (*ruleAnswer, error) {
	settings, err := p.alarms.fresh(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range rulesOf(settings).Rules {
		if r.Name == in.Name {
			return &ruleAnswer{Body: r}, nil
		}
	}
	return nil, noSuchRule(in.Name)
}

func noSuchRule(name string) error {
	return problem(http.StatusNotFound, "%s", ruleUnknown(name))
}

func ruleUnknown(name string) string {
	return fmt.Sprintf("there is no rule %q; there are %s", shorten(name), strings.Join(alarm.Names(), ", "))
}

// putRule is PUT /v1/alarm-rules/{name}.
func (p *Proxy) putRule(ctx context.Context, in *putRule) (*ruleAnswer, error) {
	if !slices.Contains(alarm.Names(), in.Name) {
		return nil, noSuchRule(in.Name)
	}
	if in.Body.Name != "" && in.Body.Name != in.Name {
		return nil, badAlarm("name", in.Body.Name, "the path says %s; leave it out", in.Name)
	}
	in.Body.Name = in.Name
	rule, err := alarm.Parse(in.Body)
	if err != nil {
		return nil, badRule("body.", err)
	}
	if err := p.alarms.put(ctx, keyRule+in.Name, in.Body); err != nil {
		return nil, err
	}
	p.cfg.Log.Info().Str("rule", in.Name).Str("by", callerOf(ctx).addr).Msg("rule of alarms changed")
	return &ruleAnswer{Body: rule.Document()}, nil
}

// resetRule is DELETE /v1/alarm-rules/{name}.
func (p *Proxy) resetRule(ctx context.Context, in *oneRule) (*struct{}, error) {
	if !slices.Contains(alarm.Names(), in.Name) {
		return nil, noSuchRule(in.Name)
	}
	p.cfg.Log.Info().Str("rule", in.Name).Str("by", callerOf(ctx).addr).Msg("rule of alarms set back")
	return nil, p.alarms.put(ctx, keyRule+in.Name, nil)
}

// putRules is PUT /v1/alarm-rules.
func (p *Proxy) putRules(ctx context.Context, in *putRules) (*rulesAnswer, error) {
	if err := checkRules("body.", in.Body.Rules); err != nil {
		return nil, err
	}
	for _, name := range alarm.Names() {
		i := slices.IndexFunc(in.Body.Rules, func(r api.AlarmRuleChange) bool { return r.Name == name })
		var value any
		if i >= 0 {
			value = in.Body.Rules[i]
		}
		if err := p.alarms.put(ctx, keyRule+name, value); err != nil {
			return nil, err
		}
	}
	p.cfg.Log.Info().Int("rules", len(in.Body.Rules)).Str("by", callerOf(ctx).addr).Msg("rules of alarms replaced")
	return p.listRules(ctx, nil)
}

// checkRules refuses all when one is wrong.
func checkRules(under string, rules []api.AlarmRuleChange) error {
	seen := make(map[string]bool)
	for i, r := range rules {
		at := fmt.Sprintf("%srules[%d].", under, i)
		if _, err := alarm.Parse(r); err != nil {
			return badRule(at, err)
		}
		if seen[r.Name] {
			return badRule(at, &alarm.FieldError{Field: "name", Value: r.Name, Wrong: "it stands twice; leave one out"})
		}
		seen[r.Name] = true
	}
	return nil
}

// listWebhooks is GET /v1/webhooks.
func (p *Proxy) listWebhooks(ctx context.Context, _ *struct{}) (*webhooksAnswer, error) {
	settings, err := p.alarms.fresh(ctx)
	if err != nil {
		return nil, err
	}
	return &webhooksAnswer{Body: p.webhooksOf(settings)}, nil
}

// webhooksOf never gives a secret out.
func (p *Proxy) webhooksOf(settings *alarmSettings) api.WebhookList {
	hooks := p.alarms.hooks
	list := api.WebhookList{Webhooks: []api.Webhook{}, Allowed: hooks.allowed.raw}
	watching, _ := p.alarms.tells()
	for _, h := range settings.webhooks {
		h.Signed, h.Secret = h.Secret != "", ""
		if watching {
			h.Delivery = hooks.delivery(h.Name)
		}
		list.Webhooks = append(list.Webhooks, h)
	}
	return list
}

// putWebhooks is PUT /v1/webhooks.
func (p *Proxy) putWebhooks(ctx context.Context, in *putWebhooks) (*webhooksAnswer, error) {
	settings, err := p.alarms.fresh(ctx)
	if err != nil {
		return nil, err
	}
	list, err := p.alarms.hooks.parse("body.", in.Body.Webhooks, settings.webhooks)
	if err != nil {
		return nil, err
	}
	if err := p.alarms.put(ctx, keyHooks, list); err != nil {
		return nil, err
	}
	p.cfg.Log.Info().Int("webhooks", len(list)).Str("by", callerOf(ctx).addr).Msg("webhooks replaced")
	return p.listWebhooks(ctx, nil)
}

func badAlarm(field string, value any, format string, args ...any) error {
	return badRule("body.", &alarm.FieldError{Field: field, Value: value, Wrong: fmt.Sprintf(format, args...)})
}

// badRule is a problem that names the field.
func badRule(under string, err error) error {
	field, ok := errors.AsType[*alarm.FieldError](err)
	if !ok {
		return err
	}
	return at(problem(http.StatusUnprocessableEntity, "%s", field.Error()), under+field.Field, field.Wrong, fmt.Sprint(field.Value))
}

func (p *Proxy) routeAlarms(a huma.API) {
	add := func(id, method, path, summary, description string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: path, Tags: []string{"alarms"}, Summary: summary, Description: description}
	}
	created := func(op huma.Operation, status int) huma.Operation { op.DefaultStatus = status; return op }
	huma.Register(a, add("list-alarms", http.MethodGet, "/v1/alarms", "List what is wrong, or was in the last day",
		"An unknown rule is refused; a worker that nobody knows has no alarms."), look(p.listAlarms))
	huma.Register(a, add("ack-alarm", http.MethodPost, "/v1/alarms/{id}/ack", "Say who takes care of an alarm",
		"It is shown with the alarm until that is resolved."), answer(p.ackAlarm))
	huma.Register(a, created(add("unack-alarm", http.MethodDelete, "/v1/alarms/{id}/ack", "Take an acknowledgement back", ""), http.StatusNoContent),
		answer(p.unackAlarm))
	huma.Register(a, add("list-silences", http.MethodGet, "/v1/silences", "List the silences", ""), look(p.listSilences))
	huma.Register(a, created(add("add-silence", http.MethodPost, "/v1/silences", "Keep alarms from being told for a while",
		"They are still listed. What still fires at the end is told then."), http.StatusCreated), answer(p.addSilence))
	huma.Register(a, created(add("delete-silence", http.MethodDelete, "/v1/silences/{id}", "End a silence", ""), http.StatusNoContent), answer(p.deleteSilence))
	huma.Register(a, add("list-alarm-rules", http.MethodGet, "/v1/alarm-rules", "List the rules of alarms", ""), look(p.listRules))
	huma.Register(a, add("put-alarm-rules", http.MethodPut, "/v1/alarm-rules", "Replace the rules of alarms",
		"Rules that are not in it become as they came. All or nothing is checked before anything is stored."), answer(p.putRules))
	huma.Register(a, add("get-alarm-rule", http.MethodGet, "/v1/alarm-rules/{name}", "Get one rule of alarms", ""), look(p.getRule))
	huma.Register(a, add("put-alarm-rule", http.MethodPut, "/v1/alarm-rules/{name}", "Change one rule of alarms",
		"What is left out becomes as it came."), answer(p.putRule))
	huma.Register(a, created(add("reset-alarm-rule", http.MethodDelete, "/v1/alarm-rules/{name}", "Make one rule of alarms as it came", ""),
		http.StatusNoContent), answer(p.resetRule))
	huma.Register(a, add("list-webhooks", http.MethodGet, "/v1/webhooks", "List the webhooks that are told of alarms", "Secrets are never given out."),
		look(p.listWebhooks))
	huma.Register(a, add("put-webhooks", http.MethodPut, "/v1/webhooks", "Replace the webhooks that are told of alarms",
		"Which addresses they may have is said by the proxy's configuration alone. A webhook without a secret keeps the one it has."), answer(p.putWebhooks))
}
