package proxyd

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/cron"
	"github.com/damrey/damrey/internal/wire"
)

// parseSchedule refuses what the broker would store and never send, and what it would refuse without saying why.
func parseSchedule(in api.NewSchedule, now time.Time) (damrey.Schedule, error) {
	s := damrey.Schedule{
		ID: in.ID, From: in.From, Type: in.Type,
		Payload: wire.Append(nil, damrey.NewRequest(in.Type, in.Args...)),
	}
	for _, name := range []struct {
		field, value string
		check        func(string) error
	}{{"id", in.ID, damrey.CheckScheduleID}, {"from", in.From, damrey.CheckWorkerName}, {"type", in.Type, damrey.CheckName}} {
		if err := name.check(name.value); err != nil {
			return s, badSchedule(name.field, name.value, "%v", err)
		}
	}
	when, value, err := whenOf(in)
	if err != nil {
		return s, err
	}
	s.Asked = when + " " + value
	if in.TimeZone != "" && when != "cron" {
		return s, badSchedule("tz", in.TimeZone, "a time zone is for cron; %s does not take one", when)
	}
	switch when {
	case "cron":
		err = parseCron(&s, value, in.TimeZone)
	case "every":
		err = parseEvery(&s, value)
	case "at":
		err = parseAt(&s, value, now)
	default:
		err = parseIn(&s, value, now)
	}
	return s, err
}

// whenOf is the one of the fields that says when.
func whenOf(in api.NewSchedule) (name, value string, err error) {
	const all = "cron, every, at and in"
	for _, f := range []struct{ name, value string }{{"cron", in.Cron}, {"every", in.Every}, {"at", in.At}, {"in", in.In}} {
		switch {
		case f.value == "":
		case name != "":
			return "", "", badSchedule(f.name, f.value, "%s and %s: give exactly one of %s", name, f.name, all)
		default:
			name, value = f.name, f.value
		}
	}
	if name == "" {
		return "", "", badSchedule("every", nil, "when is missing; give exactly one of %s, such as every: 5m", all)
	}
	return name, value, nil
}

func parseCron(s *damrey.Schedule, text, zone string) error {
	pattern, err := cron.Parse(text)
	if err != nil {
		return badSchedule("cron", text, "cron %v", err)
	}
	s.Pattern, s.TimeZone, s.Asked = pattern.String(), zone, "cron "+pattern.String()
	if zone == "" {
		return nil
	}
	s.Asked += " " + zone
	if _, err := time.LoadLocation(zone); err != nil || zone == "Local" {
		return badSchedule("tz", zone, "%q is no time zone; use a name such as Europe/Berlin, or leave it out for UTC", shorten(zone))
	}
	return nil
}

func parseEvery(s *damrey.Schedule, text string) error {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return badSchedule("every", text, "every %q is no duration; use one such as 5m or 1h30m", shorten(text))
	case d < time.Second:
		return badSchedule("every", text, "every %v is less than a second; use 1s or more", d)
	case d%time.Second != 0:
		return badSchedule("every", text, "every %v: whole seconds only, such as %v", d, d.Round(time.Second))
	case d > damrey.MaxLater:
		return badSchedule("every", text, "every %v is over a year; use at most %v", d, damrey.MaxLater)
	}
	s.Pattern, s.Asked = damrey.EveryPattern+d.String(), "every "+d.String()
	return nil
}

func parseAt(s *damrey.Schedule, text string, now time.Time) error {
	t, err := time.Parse(time.RFC3339, text)
	switch {
	case err != nil:
		return badSchedule("at", text, "at %q is no time; use one such as %s", shorten(text), now.Add(time.Hour).UTC().Format(time.RFC3339))
	case t.Before(now):
		return badSchedule("at", text, "at %s has passed, it is %s; use a time to come, or send the message now with `damrey send`",
			text, now.In(t.Location()).Format(time.RFC3339))
	case t.Sub(now) > damrey.MaxLater:
		return badSchedule("at", text, "at %s is over a year away, it is %s; use at most %v",
			text, now.In(t.Location()).Format(time.RFC3339), damrey.MaxLater)
	}
	s.Pattern, s.Asked = damrey.AtMoment(t), "at "+t.UTC().Format(time.RFC3339Nano)
	return nil
}

func parseIn(s *damrey.Schedule, text string, now time.Time) error {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return badSchedule("in", text, "in %q is no duration; use one such as 10m or 1h30m", shorten(text))
	case d < 0:
		return badSchedule("in", text, "in %v is negative; use 0s or more", d)
	case d > damrey.MaxLater:
		return badSchedule("in", text, "in %v is over a year; use at most %v", d, damrey.MaxLater)
	}
	s.Pattern, s.Asked = damrey.AtMoment(now.Add(d)), "in "+d.String()
	return nil
}

func badSchedule(field string, value any, format string, args ...any) error {
	message := fmt.Sprintf(format, args...)
	if text, ok := value.(string); ok {
		value = shorten(text)
	}
	detail := message
	if !strings.HasPrefix(message, field) {
		detail = field + ": " + message
	}
	return at(problem(http.StatusUnprocessableEntity, "%s", detail), "body."+field, message, value)
}
