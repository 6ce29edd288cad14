package proxyd

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/alarm"
	"github.com/damrey/damrey/internal/api"
)

const maxWebhooks = 20

// parse refuses all when one is wrong. One without a secret keeps the one that it had.
func (w *webhooks) parse(under string, asked, before []api.Webhook) ([]api.Webhook, error) {
	if len(asked) > maxWebhooks {
		return nil, badRule(under, &alarm.FieldError{Field: "webhooks", Value: len(asked), Wrong: fmt.Sprintf("at most %d webhooks are told", maxWebhooks)})
	}
	list := make([]api.Webhook, 0, len(asked))
	for i, h := range asked {
		if err := w.check(h); err != nil {
			return nil, badRule(fmt.Sprintf("%swebhooks[%d].", under, i), err)
		}
		if slices.ContainsFunc(list, func(o api.Webhook) bool { return o.Name == h.Name }) {
			return nil, badRule(fmt.Sprintf("%swebhooks[%d].", under, i), &alarm.FieldError{Field: "name", Value: h.Name, Wrong: "it stands twice; give each a name of its own"})
		}
		h.Format = cmp.Or(h.Format, api.WebhookJSON)
		h.Signed, h.Delivery = false, nil
		if j := slices.IndexFunc(before, func(o api.Webhook) bool { return o.Name == h.Name }); h.Secret == "" && j >= 0 && before[j].URL == h.URL {
			h.Secret = before[j].Secret
		}
		list = append(list, h)
	}
	slices.SortFunc(list, func(a, b api.Webhook) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

func (w *webhooks) check(h api.Webhook) error {
	wrong := func(field string, value any, format string, args ...any) error {
		return &alarm.FieldError{Field: field, Value: value, Wrong: fmt.Sprintf(format, args...)}
	}
	if err := damrey.CheckName(h.Name); err != nil {
		return wrong("name", shorten(h.Name), "%v", err)
	}
	if _, err := w.allowed.check(h.URL); err != nil {
		return wrong("url", shorten(h.URL), "%v", err)
	}
	if !slices.Contains([]string{"", api.WebhookJSON, api.WebhookAlertmanager}, h.Format) {
		return wrong("format", shorten(h.Format), "use %s or %s", api.WebhookJSON, api.WebhookAlertmanager)
	}
	if h.Severity != "" && !slices.Contains(alarm.Severities, h.Severity) {
		return wrong("severity", shorten(h.Severity), "use one of %s", strings.Join(alarm.Severities, ", "))
	}
	if h.Secret != "" && len(h.Secret) < hookSecret {
		return wrong("secret", fmt.Sprintf("(%d characters)", len(h.Secret)), "use at least %d characters", hookSecret)
	}
	return nil
}
