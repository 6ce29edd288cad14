package alarm

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/damrey/damrey/internal/api"
)

func TestParse_RefusesNonsense(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		asked api.AlarmRuleChange
		want  string
	}{
		{api.AlarmRuleChange{Name: "nonsense"}, `name "nonsense": there is no such rule; there are no_instance, instance_lost`},
		{api.AlarmRuleChange{}, `name "": there is no such rule`},
		{api.AlarmRuleChange{Name: strings.Repeat("x", 1000)}, `xxx...": there is no such rule`},
		{api.AlarmRuleChange{Name: "errors", Severity: "awful"}, `severity "awful": use one of info, warning, critical`},
		{api.AlarmRuleChange{Name: "errors", For: "soon"}, `for "soon": use a duration such as 30s`},
		{api.AlarmRuleChange{Name: "errors", For: "-1s"}, `for -1s: use a duration from 0s to 24h0m0s`},
		{api.AlarmRuleChange{Name: "errors", Keep: "25h"}, `keep 25h: use a duration from 0s to 24h0m0s`},
		{api.AlarmRuleChange{Name: "errors", Limits: map[string]float64{"share": 5}}, `limits.share 5: failed of those handled is from 0.0001 to 1`},
		{api.AlarmRuleChange{Name: "errors", Limits: map[string]float64{"share": math.NaN()}}, `limits.share NaN`},
		{api.AlarmRuleChange{Name: "errors", Limits: map[string]float64{"least": 1.5}}, `limits.least 1.5: messages that must have failed within the window is a whole number`},
		{api.AlarmRuleChange{Name: "errors", Limits: map[string]float64{"shares": 1}}, `limits.shares 1: rule errors has no such limit; it has share, least`},
		{api.AlarmRuleChange{Name: "no_instance", Limits: map[string]float64{"x": 1}}, `limits.x 1: rule no_instance has no limits`},
		{api.AlarmRuleChange{Name: "errors", Overrides: []api.AlarmOverride{{Worker: "a b"}}}, `overrides[0].worker "a b": give the name of a worker`},
		{api.AlarmRuleChange{Name: "errors", Overrides: []api.AlarmOverride{{Worker: "a"}, {Worker: "b", For: "x"}}}, `overrides[1].for "x"`},
		{api.AlarmRuleChange{Name: "errors", Overrides: make([]api.AlarmOverride, 101)}, `overrides 101: a rule has at most 100`},
	} {
		_, err := Parse(c.asked)
		if _, ok := errors.AsType[*FieldError](err); !ok || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, not %q", c.asked, err, c.want)
		}
	}
}

func TestParse_OverridesAreForSomeWorkers(t *testing.T) {
	t.Parallel()
	off := false
	r, err := Parse(api.AlarmRuleChange{Name: "errors", Limits: map[string]float64{"share": 0.2}, For: "1m", Overrides: []api.AlarmOverride{
		{Worker: "test-*", Enabled: &off},
		{Worker: "bank", Severity: Critical, Limits: map[string]float64{"share": 0.01}, For: "5s"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.of("test-1"); got.enabled {
		t.Errorf("%+v", got)
	}
	if got := r.of("bank"); !got.enabled || got.severity != Critical || got.limits["share"] != 0.01 || got.hold.String() != "5s" || got.limits["least"] != 5 {
		t.Errorf("%+v", got)
	}
	if got := r.of("other"); !got.enabled || got.severity != Warning || got.limits["share"] != 0.2 || got.hold.String() != "1m0s" {
		t.Errorf("%+v", got)
	}
	if d := r.Document(); len(d.Overrides) != 2 || d.Overrides[1].For != "5s" || !d.Changed {
		t.Errorf("%+v", d)
	}
	f := known()
	f.Edges[0].Failed = 400
	b := Standard().With(r)
	if all, _ := b.find(f); len(all) != 1 {
		t.Errorf("%+v", all)
	}
	f.Edges[0].To = "test-b"
	f.Nodes[1].Name = "test-b"
	if all, _ := b.find(f); len(all) != 0 {
		t.Errorf("%+v", all)
	}
}

func TestMatches_StarStandsForAnything(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"*", "x", true}, {"a*", "a", true}, {"a*", "ba", false}, {"*b", "ab", true},
		{"a*b*c", "a1b2c", true}, {"a*b*c", "acb", false}, {"a*a", "a", false}, {"a*b*b", "ab", false},
	} {
		if matches(c.pattern, c.name) != c.want {
			t.Errorf("%s %s: not %v", c.pattern, c.name, c.want)
		}
	}
}
