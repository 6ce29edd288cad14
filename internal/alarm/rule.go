package alarm

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/damrey/damrey/internal/api"
)

// terms are what a rule says for one worker.
type terms struct {
	enabled  bool
	severity string
	limits   map[string]float64
	hold     time.Duration
	keep     time.Duration
}

// Rule is one kind of alarm with what was set for it.
type Rule struct {
	kind
	terms
	overrides []override
	changed   bool
}

// override is what differs for the workers that a pattern matches.
type override struct {
	worker string
	terms
	asked api.AlarmOverride
}

// of is what the rule says for a worker; the empty one has no overrides.
func (r Rule) of(worker string) terms {
	for _, o := range r.overrides {
		if worker != "" && matches(o.worker, worker) {
			return o.terms
		}
	}
	return r.terms
}

// matches compares a name with a pattern in which * stands for any characters.
func matches(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == name
	}
	first, last := parts[0], parts[len(parts)-1]
	if !strings.HasPrefix(name, first) {
		return false
	}
	name = name[len(first):]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name = name[i+len(part):]
	}
	return strings.HasSuffix(name, last)
}

// standard is the rule as it comes.
func (k kind) standard() Rule {
	limits := make(map[string]float64, len(k.limits))
	for _, l := range k.limits {
		limits[l.name] = l.standard
	}
	return Rule{kind: k, terms: terms{enabled: true, severity: k.severity, limits: limits, hold: k.hold, keep: k.keep}}
}

// Document is the rule for people and programs.
func (r Rule) Document() api.AlarmRule {
	d := api.AlarmRule{
		Name: r.name, Meaning: r.meaning, Enabled: r.enabled, Severity: r.terms.severity,
		For: r.terms.hold.String(), Keep: r.terms.keep.String(), Changed: r.changed,
	}
	if len(r.terms.limits) > 0 {
		d.Limits = maps.Clone(r.terms.limits)
	}
	for _, o := range r.overrides {
		d.Overrides = append(d.Overrides, o.asked)
	}
	return d
}

// Book holds every rule, as it came or as it was set.
type Book struct{ rules []Rule }

// Standard is the book of the rules as they come.
func Standard() Book {
	b := Book{rules: make([]Rule, len(kinds))}
	for i, k := range kinds {
		b.rules[i] = k.standard()
	}
	return b
}

// Names of all rules.
func Names() []string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.name
	}
	return names
}

// With is the book with one rule replaced by that of its name.
func (b Book) With(r Rule) Book {
	rules := slices.Clone(b.rules)
	for i := range rules {
		if rules[i].name == r.name {
			rules[i] = r
		}
	}
	return Book{rules: rules}
}

// Rules in the order in which people read them.
func (b Book) Rules() []Rule { return slices.Clone(b.rules) }

// find is everything that is wrong, and the rules that could not be judged.
func (b Book) find(f Facts) (all []found, unknown map[string]bool) {
	unknown = make(map[string]bool)
	for _, r := range b.rules {
		if !r.known(f) {
			unknown[r.name] = true
			continue
		}
		for _, finding := range r.find(r, f) {
			if t := r.of(finding.Worker); t.enabled {
				all = append(all, found{Finding: finding, rule: r.name, terms: t})
			}
		}
	}
	return all, unknown
}
