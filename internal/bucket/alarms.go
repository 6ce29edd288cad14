package bucket

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"
)

// AlarmsName is the bucket that holds what operators have set of alarms: rules, silences, webhooks.
func AlarmsName(prefix string) string { return prefix + "_alarms" }

// AlarmStateName is the bucket that holds the alarms themselves, and who has seen them. It is no part of a backup: what
// was wrong then is not what is wrong where it is restored.
func AlarmStateName(prefix string) string { return prefix + "_alarmstate" }

// EnsureAlarms makes or raises the buckets of alarms, and that of the proxies, where they agree on who tells.
func EnsureAlarms(ctx context.Context, js jetstream.JetStream, prefix string) error {
	return ensureAll(ctx, js, append(alarms(prefix), proxies(prefix)))
}

func alarms(prefix string) []kv {
	return []kv{
		{AlarmsName(prefix), "Damrey: rules of alarms, silences, webhooks", 8},
		{AlarmStateName(prefix), "Damrey: alarms", 1},
	}
}
