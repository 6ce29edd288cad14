package alarm

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/damrey/damrey/internal/api"
)

// maxHold is the longest that a rule may wait.
const maxHold = 24 * time.Hour

// maxOverrides is how many overrides one rule may have.
const maxOverrides = 100

// FieldError is what is wrong with one part of a rule.
type FieldError struct {
	Field string // such as limits.share or overrides[1].for
	Value any    // that was given
	Wrong string // in words, with what is allowed
}

func (e *FieldError) Error() string { return fmt.Sprintf("%s %v: %s", e.Field, e.Value, e.Wrong) }

func wrong(field string, value any, format string, args ...any) error {
	return &FieldError{Field: field, Value: value, Wrong: fmt.Sprintf(format, args...)}
}

// Parse makes a rule of what was asked for. What is left out is as the rule comes.
func Parse(asked api.AlarmRuleChange) (Rule, error) {
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == asked.Name })
	if i < 0 {
		return Rule{}, wrong("name", quoted(asked.Name), "there is no such rule; there are %s", strings.Join(Names(), ", "))
	}
	r := kinds[i].standard()
	r.changed = true
	err := r.change(&r.terms, "", api.AlarmOverride{
		Enabled: asked.Enabled, Severity: asked.Severity, Limits: asked.Limits, For: asked.For, Keep: asked.Keep,
	})
	if err != nil {
		return Rule{}, err
	}
	if len(asked.Overrides) > maxOverrides {
		return Rule{}, wrong("overrides", len(asked.Overrides), "a rule has at most %d", maxOverrides)
	}
	for i, o := range asked.Overrides {
		parsed, err := r.override(fmt.Sprintf("overrides[%d].", i), o)
		if err != nil {
			return Rule{}, err
		}
		r.overrides = append(r.overrides, parsed)
	}
	return r, nil
}

func (r Rule) override(under string, asked api.AlarmOverride) (override, error) {
	if !isPattern(asked.Worker) {
		return override{}, wrong(under+"worker", quoted(asked.Worker), "give the name of a worker; * stands for any characters, such as test-*")
	}
	o := override{worker: asked.Worker, terms: r.terms, asked: asked}
	o.limits = maps.Clone(r.terms.limits)
	return o, r.change(&o.terms, under, asked)
}

// isPattern goes by the alphabet of names.
func isPattern(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-_*", c)
	})
}

// change sets what was given.
func (r Rule) change(t *terms, under string, asked api.AlarmOverride) (err error) {
	if asked.Enabled != nil {
		t.enabled = *asked.Enabled
	}
	if asked.Severity != "" {
		if !slices.Contains(Severities, asked.Severity) {
			return wrong(under+"severity", quoted(asked.Severity), "use one of %s", strings.Join(Severities, ", "))
		}
		t.severity = asked.Severity
	}
	for _, name := range slices.Sorted(maps.Keys(asked.Limits)) {
		value := asked.Limits[name]
		if err := r.checkLimit(under+"limits."+name, name, value); err != nil {
			return err
		}
		t.limits[name] = value
	}
	if t.hold, err = parseHold(under+"for", asked.For, t.hold); err == nil {
		t.keep, err = parseHold(under+"keep", asked.Keep, t.keep)
	}
	return err
}

func (r Rule) checkLimit(field, name string, value float64) error {
	i := slices.IndexFunc(r.kind.limits, func(l limit) bool { return l.name == name })
	if i < 0 {
		var names []string
		for _, l := range r.kind.limits {
			names = append(names, l.name)
		}
		if len(names) == 0 {
			return wrong(field, value, "rule %s has no limits", r.name)
		}
		return wrong(field, value, "rule %s has no such limit; it has %s", r.name, strings.Join(names, ", "))
	}
	l := r.kind.limits[i]
	if math.IsNaN(value) || value < l.from || value > l.to {
		return wrong(field, value, "%s is from %v to %v", l.meaning, l.from, l.to)
	}
	if l.whole && value != math.Trunc(value) {
		return wrong(field, value, "%s is a whole number", l.meaning)
	}
	return nil
}

func parseHold(field, text string, standard time.Duration) (time.Duration, error) {
	if text == "" {
		return standard, nil
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return 0, wrong(field, quoted(text), "use a duration such as 30s or 1m30s")
	case d < 0 || d > maxHold:
		return 0, wrong(field, text, "use a duration from 0s to %v", maxHold)
	}
	return d, nil
}

// quoted keeps what somebody sent readable.
func quoted(s string) string {
	const most = 80
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most-3], "") + "..."
	}
	return fmt.Sprintf("%q", s)
}
