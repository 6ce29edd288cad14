package api

import (
	"context"
	"net/http"
	"net/url"
)

// AlarmFilter says which alarms are meant. The zero value is all.
type AlarmFilter struct {
	Rule, Worker string
	State        AlarmState
}

func (f AlarmFilter) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"rule": f.Rule, "worker": f.Worker, "state": string(f.State)} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

// Alarms lists what is wrong, or was in the last day.
func (c *Client) Alarms(ctx context.Context, f AlarmFilter) (AlarmList, error) {
	var list AlarmList
	_, err := c.call(ctx, call{method: http.MethodGet, path: []string{"v1", "alarms"}, query: f.query(), into: &list})
	return list, err
}

// AckAlarm says who takes care of an alarm. 404 when there is none of this id, 409 when it is over.
func (c *Client) AckAlarm(ctx context.Context, id string, ack Ack) (Ack, error) {
	var stored Ack
	_, err := c.call(ctx, call{method: http.MethodPost, path: []string{"v1", "alarms", id, "ack"}, body: ack, into: &stored, repeatable: true})
	return stored, err
}

// UnackAlarm takes an acknowledgement back. 404 when there is none.
func (c *Client) UnackAlarm(ctx context.Context, id string) error {
	_, err := c.call(ctx, call{method: http.MethodDelete, path: []string{"v1", "alarms", id, "ack"}})
	return err
}

// Silences lists those that are not over.
func (c *Client) Silences(ctx context.Context) (SilenceList, error) {
	var list SilenceList
	_, err := c.call(ctx, call{method: http.MethodGet, path: []string{"v1", "silences"}, into: &list})
	return list, err
}

// AddSilence keeps alarms from being told for a while.
func (c *Client) AddSilence(ctx context.Context, s Silence) (Silence, error) {
	var stored Silence
	_, err := c.call(ctx, call{method: http.MethodPost, path: []string{"v1", "silences"}, body: s, into: &stored})
	return stored, err
}

// DeleteSilence ends a silence. 404 when there is none of this id.
func (c *Client) DeleteSilence(ctx context.Context, id string) error {
	_, err := c.call(ctx, call{method: http.MethodDelete, path: []string{"v1", "silences", id}})
	return err
}

// AlarmRules lists the rules of alarms.
func (c *Client) AlarmRules(ctx context.Context) (AlarmRuleList, error) {
	var list AlarmRuleList
	_, err := c.call(ctx, call{method: http.MethodGet, path: []string{"v1", "alarm-rules"}, into: &list})
	return list, err
}

// AlarmRule is one rule. 404 when there is none of this name.
func (c *Client) AlarmRule(ctx context.Context, name string) (AlarmRule, error) {
	var rule AlarmRule
	_, err := c.call(ctx, call{method: http.MethodGet, path: []string{"v1", "alarm-rules", name}, into: &rule})
	return rule, err
}

// PutAlarmRule changes one rule; what is left out becomes as it came.
func (c *Client) PutAlarmRule(ctx context.Context, name string, change AlarmRuleChange) (AlarmRule, error) {
	var stored AlarmRule
	_, err := c.call(ctx, call{method: http.MethodPut, path: []string{"v1", "alarm-rules", name}, body: change, into: &stored, repeatable: true})
	return stored, err
}

// PutAlarmRules replaces what is different from how the rules came.
func (c *Client) PutAlarmRules(ctx context.Context, changes AlarmRuleChanges) (AlarmRuleList, error) {
	var list AlarmRuleList
	_, err := c.call(ctx, call{method: http.MethodPut, path: []string{"v1", "alarm-rules"}, body: changes, into: &list, repeatable: true})
	return list, err
}

// ResetAlarmRule makes one rule as it came.
func (c *Client) ResetAlarmRule(ctx context.Context, name string) error {
	_, err := c.call(ctx, call{method: http.MethodDelete, path: []string{"v1", "alarm-rules", name}, repeatable: true})
	return err
}

// Webhooks lists who is told of alarms over HTTP.
func (c *Client) Webhooks(ctx context.Context) (WebhookList, error) {
	var list WebhookList
	_, err := c.call(ctx, call{method: http.MethodGet, path: []string{"v1", "webhooks"}, into: &list})
	return list, err
}

// PutWebhooks replaces them.
func (c *Client) PutWebhooks(ctx context.Context, webhooks WebhookList) (WebhookList, error) {
	var list WebhookList
	_, err := c.call(ctx, call{method: http.MethodPut, path: []string{"v1", "webhooks"}, body: webhooks, into: &list, repeatable: true})
	return list, err
}
