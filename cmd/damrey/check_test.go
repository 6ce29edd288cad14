package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/damrey/damrey/internal/api"
)

func firing(severity, about string) api.Alarm {
	return api.Alarm{ID: "r:" + about, Rule: "r", Severity: severity, State: api.AlarmFiring, About: about, Text: "text of " + about, Do: "do"}
}

func TestCheck_CountsWhatFires(t *testing.T) {
	t.Parallel()
	acked, silenced, resolved := firing("critical", "acked"), firing("critical", "silenced"), firing("critical", "resolved")
	acked.Acked = &api.Ack{By: "me"}
	silenced.Silenced = &api.Silence{By: "me", Until: time.Now().Add(time.Hour)}
	resolved.State = api.AlarmResolved
	for _, c := range []struct {
		alarms      []api.Alarm
		ignoreAcked bool
		code        int
		text        string
	}{
		{nil, false, 0, "nothing is wrong"},
		{[]api.Alarm{silenced, resolved}, false, 0, "nothing is wrong"},
		{[]api.Alarm{firing("info", "a")}, false, 0, "1 info: text of a"},
		{[]api.Alarm{firing("warning", "a"), firing("info", "b")}, false, 1, "1 warning, 1 info: text of a"},
		{[]api.Alarm{firing("warning", "a"), firing("critical", "b"), firing("critical", "c")}, false, 2, "2 critical, 1 warning: text of b"},
		{[]api.Alarm{acked}, false, 2, "1 critical: text of acked"},
		{[]api.Alarm{acked, firing("warning", "a")}, true, 1, "1 warning: text of a"},
	} {
		r := resultOf(c.alarms, c.ignoreAcked)
		if r.Code != c.code || r.Status != checkNames[c.code] || r.Text != c.text {
			t.Errorf("%+v, not %d %q", r, c.code, c.text)
		}
	}
}

// Whatever stands in an alarm, each format stays what it is.
func TestCheck_FormatsCarryAnything(t *testing.T) {
	t.Parallel()
	r := resultOf([]api.Alarm{firing("critical", "a|b\n\"<script>\\\x1b[31m\xff"), firing("warning", "x→y→z")}, false)
	printed := func(format string) string {
		var out bytes.Buffer
		if err := r.print(&out, format); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	for _, format := range []string{"nagios", "text"} {
		if text := printed(format); strings.Count(text, "\n") != 3 || strings.ContainsAny(text, "\x1b") {
			t.Errorf("%q", text)
		}
	}
	if text := printed("nagios"); strings.Count(text, "|") != 1 {
		t.Errorf("%q", text)
	}
	var back checkResult
	if err := json.Unmarshal([]byte(printed("json")), &back); err != nil || len(back.Firing) != 2 || back.Code != 2 {
		t.Errorf("%+v, %v", back, err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(printed("prometheus")))
	if err != nil || len(families["damrey_check_alarm"].GetMetric()) != 2 {
		t.Errorf("%v: %s", err, printed("prometheus"))
	}
	problems, err := promlint.New(strings.NewReader(printed("prometheus"))).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}
