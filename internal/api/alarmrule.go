package api

import "time"

// AlarmRule says when something is an alarm. There is one of each name, whatever was set.
type AlarmRule struct {
	Name string `json:"name" readOnly:"true" doc:"Name of the rule" example:"errors"`
	// Meaning is for people.
	Meaning  string `json:"meaning,omitempty" readOnly:"true" doc:"What it looks at, in words"`
	Enabled  bool   `json:"enabled" doc:"Whether it is looked at"`
	Severity string `json:"severity" enum:"info,warning,critical" doc:"How bad it is"`
	// Limits are by name; which ones there are depends on the rule.
	Limits map[string]float64 `json:"limits,omitempty" doc:"What is compared with, by name; which ones there are depends on the rule" example:"{\"share\":0.05,\"least\":10}"`
	For    string             `json:"for" doc:"How long it must be true before the alarm fires" example:"30s"`
	Keep   string             `json:"keep" doc:"How long it must not be true before the alarm is resolved" example:"1m0s"`
	// Overrides are for some workers; of several that match the first counts.
	Overrides []AlarmOverride `json:"overrides,omitempty" doc:"What is different for some workers; of several that match the first counts"`
	// Changed says that it is not as it came.
	Changed bool `json:"changed,omitempty" readOnly:"true" doc:"Whether it was set by somebody"`
}

// AlarmOverride is what is different for some workers. What is left out is as the rule has it.
type AlarmOverride struct {
	Worker   string             `json:"worker" doc:"Name of the worker; * stands for any characters" example:"test-*"`
	Enabled  *bool              `json:"enabled,omitempty" doc:"Whether it is looked at"`
	Severity string             `json:"severity,omitempty" enum:"info,warning,critical" doc:"How bad it is"`
	Limits   map[string]float64 `json:"limits,omitempty" doc:"Limits that are different"`
	For      string             `json:"for,omitempty" doc:"How long it must be true before the alarm fires"`
	Keep     string             `json:"keep,omitempty" doc:"How long it must not be true before the alarm is resolved"`
}

// AlarmRuleChange is the body of PUT /v1/alarm-rules/{name}: what is left out becomes as it came.
type AlarmRuleChange struct {
	Name      string             `json:"name,omitempty" doc:"Name of the rule; the one in the path when it is left out"`
	Enabled   *bool              `json:"enabled,omitempty" doc:"Whether it is looked at"`
	Severity  string             `json:"severity,omitempty" doc:"info, warning or critical"`
	Limits    map[string]float64 `json:"limits,omitempty" doc:"Limits that are different, by name"`
	For       string             `json:"for,omitempty" doc:"How long it must be true before the alarm fires" example:"30s"`
	Keep      string             `json:"keep,omitempty" doc:"How long it must not be true before the alarm is resolved" example:"1m"`
	Overrides []AlarmOverride    `json:"overrides,omitempty" nullable:"false" doc:"What is different for some workers"`
}

// Change is what makes a rule like this one of how it came.
func (r AlarmRule) Change() AlarmRuleChange {
	return AlarmRuleChange{
		Name: r.Name, Enabled: &r.Enabled, Severity: r.Severity, Limits: r.Limits, For: r.For, Keep: r.Keep, Overrides: r.Overrides,
	}
}

// AlarmRuleList is GET /v1/alarm-rules.
type AlarmRuleList struct {
	Rules []AlarmRule `json:"rules" nullable:"false" doc:"All rules"`
}

// AlarmRuleChanges is the body of PUT /v1/alarm-rules: rules that are not in it become as they came.
type AlarmRuleChanges struct {
	Rules []AlarmRuleChange `json:"rules" nullable:"false" doc:"What is different from how the rules came"`
}

// SilenceList is GET /v1/silences.
type SilenceList struct {
	Silences []Silence `json:"silences" nullable:"false" doc:"Those that are not over, the one that ends first at the beginning"`
}

// Formats of what a webhook is told.
const (
	WebhookJSON         = "json"
	WebhookAlertmanager = "alertmanager"
)

// Webhook is somebody outside who is told of alarms over HTTP.
type Webhook struct {
	Name   string `json:"name" doc:"Names it" example:"pager"`
	URL    string `json:"url" doc:"Where alarms are posted; the proxy's configuration says which addresses may be" example:"https://hooks.example.com/damrey"`
	Format string `json:"format,omitempty" enum:"json,alertmanager" default:"json" doc:"json: the alarm as /v1/alarms has it; alertmanager: as Alertmanager tells webhooks"`
	// Severity is the least of which it is told.
	Severity string `json:"severity,omitempty" enum:"info,warning,critical" doc:"Told of this severity and worse; left out: of all"`
	// Secret is never given out.
	Secret string `json:"secret,omitempty" writeOnly:"true" doc:"Signs what is posted; left out: as it is"`
	Signed bool   `json:"signed,omitempty" readOnly:"true" doc:"Whether it has a secret"`
	// Delivery is how it went, as far as the answering proxy is the one that tells.
	Delivery *WebhookDelivery `json:"delivery,omitempty" readOnly:"true" doc:"How telling it went, if the answering proxy is the one that tells"`
}

// WebhookDelivery is how telling a webhook went since the proxy started.
type WebhookDelivery struct {
	Delivered uint64     `json:"delivered" doc:"Taken"`
	Failed    uint64     `json:"failed" doc:"Given up"`
	Waiting   int        `json:"waiting" doc:"To be told"`
	LastError string     `json:"last_error,omitempty" doc:"What went wrong the last time"`
	LastAt    *time.Time `json:"last_at,omitempty" doc:"When something was taken the last time"`
}

// WebhookList is GET and PUT /v1/webhooks.
type WebhookList struct {
	Webhooks []Webhook `json:"webhooks" nullable:"false" doc:"By name"`
	// Allowed is the proxy's configuration.
	Allowed []string `json:"allowed,omitempty" readOnly:"true" doc:"Which addresses the answering proxy's configuration allows"`
}

// AlarmSettings is a file of --alarms, and what damrey alarm rules export prints.
type AlarmSettings struct {
	Rules    []AlarmRuleChange `json:"rules,omitempty"`
	Webhooks []Webhook         `json:"webhooks,omitempty"`
}
