package proxyd

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/damrey/damrey/internal/api"
)

// hookBody is what a webhook is told of an alarm.
func hookBody(h api.Webhook, a api.Alarm, proxy string) ([]byte, error) {
	if h.Format == api.WebhookAlertmanager {
		return json.Marshal(alertmanagerOf(h, a, proxy))
	}
	return json.Marshal(a)
}

// alertmanagerMessage is what Alertmanager posts to its own webhook receivers, version 4.
type alertmanagerMessage struct {
	Version           string              `json:"version"`
	GroupKey          string              `json:"groupKey"`
	TruncatedAlerts   int                 `json:"truncatedAlerts"`
	Status            string              `json:"status"`
	Receiver          string              `json:"receiver"`
	GroupLabels       map[string]string   `json:"groupLabels"`
	CommonLabels      map[string]string   `json:"commonLabels"`
	CommonAnnotations map[string]string   `json:"commonAnnotations"`
	ExternalURL       string              `json:"externalURL"`
	Alerts            []alertmanagerAlert `json:"alerts"`
}

type alertmanagerAlert struct {
	Status       string            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"` // zero: not known
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}

func alertmanagerOf(h api.Webhook, a api.Alarm, proxy string) alertmanagerMessage {
	labels := map[string]string{"alertname": a.Rule, "severity": a.Severity, "about": a.About}
	if a.Worker != "" {
		labels["worker"] = a.Worker
	}
	annotations := map[string]string{"summary": a.Text, "do": a.Do}
	if a.Hint != "" {
		annotations["hint"] = a.Hint
	}
	sum := sha256.Sum256([]byte(a.ID))
	alert := alertmanagerAlert{
		Status: string(a.State), Labels: labels, Annotations: annotations, StartsAt: a.Since,
		GeneratorURL: proxy + "/v1/alarms", Fingerprint: hex.EncodeToString(sum[:8]),
	}
	if a.Fired != nil {
		alert.StartsAt = *a.Fired
	}
	if a.State == api.AlarmResolved {
		alert.EndsAt = a.Since
	}
	return alertmanagerMessage{
		Version: "4", GroupKey: "{}:{alertname=\"" + a.Rule + "\", about=\"" + a.About + "\"}", Status: string(a.State), Receiver: h.Name,
		GroupLabels: map[string]string{"alertname": a.Rule, "about": a.About}, CommonLabels: labels, CommonAnnotations: annotations,
		ExternalURL: proxy, Alerts: []alertmanagerAlert{alert},
	}
}
