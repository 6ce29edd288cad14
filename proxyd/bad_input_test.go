package proxyd_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/damrey/damrey/proxyd"
)

func TestProxy_NamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	r.must(201, "POST", "/worker/add", `{"name":"there"}`)
	const worker = "/v1/workers/w"
	cases := map[string]struct {
		method, path, body, header string
		status                     int
		location                   string
		says                       []string
	}{
		"no body":             {"POST", "/worker/add", "", "", 400, "", []string{"the body is empty", `{"name":"entry","commands":[`}},
		"no body to del":      {"POST", "/worker/del", "", "", 400, "", []string{`send {"name":"entry"}`}},
		"no body to put":      {"PUT", worker, "", "", 400, "", []string{"send a registration, such as"}},
		"no rule":             {"PUT", "/v1/alarm-rules/errors", "", "", 400, "", []string{"the body is empty; send JSON"}},
		"no rules":            {"PUT", "/v1/alarm-rules", "", "", 400, "", []string{"the body is empty; send JSON"}},
		"a broken rule":       {"PUT", "/v1/alarm-rules/errors", "{\n \"limits\": {\"share\": NaN}}", "", 400, "body", []string{"broken JSON at line 2, column 22"}},
		"a rule as a form":    {"PUT", "/v1/alarm-rules/errors", "for=1s", "Content-Type: application/x-www-form-urlencoded", 415, "", []string{"send Content-Type: application/json"}},
		"unknown event":       {"GET", "/v1/events?kind=gap,instance.gone", "", "", 422, "query.kind", []string{`"instance.gone"`, "instance.lost", "alarm.firing"}},
		"no claim":            {"PUT", "/v1/agents/a:1", "", "", 400, "", []string{"the body is empty", `"pid":4711`}},
		"broken JSON":         {"POST", "/worker/add", "{\n  \"name\": x}", "", 400, "body", []string{"line 2, column 11"}},
		"after the end":       {"POST", "/worker/add", `{"name":"w"} x`, "", 400, "body", []string{"line 1, column 14"}},
		"a list":              {"POST", "/worker/add", `[1]`, "", 422, "body", []string{"an object is needed"}},
		"no name":             {"POST", "/worker/add", `{}`, "", 422, "body.name", []string{"is empty"}},
		"name":                {"POST", "/worker/add", `{"name":"a b"}`, "", 422, "body.name", []string{"' '", "position 2"}},
		"reserved name":       {"POST", "/worker/add", `{"name":"damrey-x"}`, "", 422, "body.name", []string{"belong to the fabric"}},
		"name of a number":    {"POST", "/worker/add", `{"name":7}`, "", 422, "body.name", []string{"a string is needed"}},
		"unknown field":       {"POST", "/worker/add", `{"name":"w","comands":[]}`, "", 422, "body.comands", []string{"unknown field", "commands"}},
		"unknown in command":  {"POST", "/worker/add", `{"name":"w","commands":[{"name":"a","worker":"b","to":"c"}]}`, "", 422, "body.commands[0].to", []string{"unknown field"}},
		"no target":           {"POST", "/worker/add", `{"name":"w","commands":[{"name":"a","worker":"b"},{"name":"c"}]}`, "", 422, "body.commands[1].worker", []string{"is empty"}},
		"type twice":          {"POST", "/worker/add", `{"name":"w","commands":[{"name":"a","worker":"b"},{"name":"a","worker":"c"}]}`, "", 422, "body.commands[1].name", []string{`commands[0] sends it to "b"`, `commands[1] to "c"`}},
		"key twice":           {"POST", "/worker/add", `{"name":"w","mpu":1,"mpu":2}`, "", 422, "body.mpu", []string{"stands twice"}},
		"key twice, one away": {"PUT", worker, `{"mpu":1,"revision":3,"mpu":2}`, "", 422, "body.mpu", []string{"stands twice"}},
		"key twice below":     {"POST", "/worker/add", `{"name":"w","commands":[{"name":"a","worker":"b"},{"name":"c","worker":"d","worker":"e"}]}`, "", 422, "body.commands[1].worker", []string{"stands twice"}},
		"revision twice":      {"PUT", worker, `{"revision":1,"revision":2}`, "", 422, "body.revision", []string{"stands twice"}},
		"mpu":                 {"POST", "/worker/add", `{"name":"w","mpu":"much"}`, "", 422, "body.mpu", []string{"much", "not a whole number"}},
		"negative mpu":        {"POST", "/worker/chg", `{"name":"there","mpu":-1}`, "", 422, "body.mpu", []string{"out of range"}},
		"agent":               {"POST", "/worker/add", `{"name":"w","agent":"a b"}`, "", 422, "body.agent", []string{"position 2"}},
		"del without name":    {"POST", "/worker/del", `{"worker":"w"}`, "", 422, "body.name", []string{"is empty"}},
		"del of none":         {"POST", "/worker/del", `{"name":"w"}`, "", 404, "", []string{`"w" is not registered`}},
		"path name":           {"GET", "/v1/workers/a%20b", "", "", 422, "path.name", []string{"position 2"}},
		"get of none":         {"GET", worker, "", "", 404, "", []string{`"w" is not registered`}},
		"delete of none":      {"DELETE", worker, "", "", 404, "", []string{`"w" is not registered`}},
		"other name":          {"PUT", worker, `{"name":"v"}`, "", 422, "body.name", []string{`"w"`, `"v"`}},
		"If-Match":            {"PUT", worker, `{}`, "If-Match: seven", 400, "header.If-Match", []string{"seven", "entity tag"}},
		"If-None-Match":       {"PUT", worker, `{}`, "If-None-Match: \"x\"", 400, "header.If-None-Match", []string{"x"}},
		"empty If-Match":      {"PUT", worker, `{}`, "If-Match: ", 400, "header.If-Match", []string{"If-Match is empty", "leave it out"}},
		"If-Match of commas":  {"DELETE", worker, "", "If-Match: , ,", 400, "header.If-Match", []string{"is empty"}},
		"empty If-None-Match": {"PUT", worker, `{}`, "If-None-Match: ", 400, "header.If-None-Match", []string{"is empty"}},
		"star among tags":     {"PUT", worker, `{}`, `If-Match: "1", *`, 400, "header.If-Match", []string{"entity tag"}},
		"delivery":            {"POST", "/worker/add", `{"name":"w","commands":[{"name":"a","worker":"b","delivery":"durabel"}]}`, "", 422, "body.commands[0].delivery", []string{`"durabel" is no delivery; use direct or durable`}},
		"negative limit":      {"POST", "/worker/add", `{"name":"w","max_bytes":-1}`, "", 422, "body.max_bytes", []string{"-1 is negative"}},
		"what of the jobs":    {"DELETE", "/v1/workers/there?jobs=drop", "", "", 422, "query.jobs", []string{"jobs=keep", "jobs=dead"}},
		"agent's path":        {"PUT", "/v1/agents/a%20b", `{"id":"a","host":"h","pid":1}`, "", 422, "path.agent", []string{"position 2"}},
		"claim without id":    {"PUT", "/v1/agents/a:1", `{"host":"h","pid":1}`, "", 422, "body", []string{"id"}},
		"claim with a bad id": {"PUT", "/v1/agents/a:1", `{"id":"a b","host":"h","pid":1}`, "", 422, "body.id", []string{"letters"}},
		"release without id":  {"DELETE", "/v1/agents/a:1", "", "", 422, "query.id", []string{"required"}},
		"no dead letter":      {"GET", "/v1/dead/7", "", "", 404, "", []string{"no dead letter 7", "damrey dead ls"}},
		"retry of none":       {"POST", "/v1/dead/7/retry", "", "", 404, "", []string{"no dead letter 7"}},
		"purge of none":       {"DELETE", "/v1/dead/7", "", "", 404, "", []string{"no dead letter 7"}},
		"dead letter zero":    {"GET", "/v1/dead/0", "", "", 422, "path.sequence", nil},
		"dead letter's name":  {"GET", "/v1/dead/x", "", "", 422, "path.sequence", []string{"invalid integer"}},
		"dead of a worker":    {"GET", "/v1/dead?worker=a.b", "", "", 422, "query.worker", []string{"position 2"}},
		"dead of a type":      {"GET", "/v1/dead?type=*", "", "", 422, "query.type", []string{"position 1"}},
		"dead of a sender":    {"GET", "/v1/dead?from=%3E", "", "", 422, "query.from", []string{"position 1"}},
		"dead since":          {"GET", "/v1/dead?since=noon", "", "", 422, "query.since", []string{"2006-01-02T15:04:05"}},
		"too many dead":       {"GET", "/v1/dead?limit=1001", "", "", 422, "query.limit", []string{"1000"}},
		"path":                {"GET", "/v1/nothing", "", "", 404, "", []string{"/v1/nothing", "/openapi.json"}},
		"root":                {"GET", "/", "", "Accept: application/json", 404, "", []string{"/openapi.json"}},
		"path with //":        {"GET", "//v1/workers", "", "", 404, "", []string{"/openapi.json"}},
		"docs":                {"GET", "/docs", "", "", 404, "", nil},
		"method":              {"DELETE", "/v1/workers", "", "", 405, "", []string{"DELETE", "GET or HEAD"}},
		"method of the old":   {"GET", "/worker/add", "", "", 405, "", []string{"use POST"}},
		"too large":           {"POST", "/worker/add", strings.Repeat(" ", 1<<20+1), "", 413, "", []string{"larger than 1048576 bytes", "commands"}},
		"another site":        {"POST", "/worker/add", `{"name":"w"}`, "Sec-Fetch-Site: cross-site", 403, "", []string{"another site"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &rig{t: t, proxy: r.proxy}
			var headers []string
			if c.header != "" {
				headers = []string{c.header}
			}
			got := r.must(c.status, c.method, c.path, c.body, headers...)
			if ct := got.header.Get("Content-Type"); ct != "application/problem+json" {
				t.Errorf("Content-Type %s", ct)
			}
			p := got.problem(t)
			if p.Status != c.status || p.Title == "" || p.Detail == "" || p.Instance == "" {
				t.Errorf("a member is missing: %s", got.body)
			}
			for _, text := range c.says {
				if !strings.Contains(p.Detail+fmt.Sprint(p.Errors), text) {
					t.Errorf("says nothing of %q: %s", text, got.body)
				}
			}
			if c.location != "" && (len(p.Errors) == 0 || p.Errors[0].Location != c.location) {
				t.Errorf("does not point at %s: %s", c.location, got.body)
			}
			if c.status == 405 && got.header.Get("Allow") == "" {
				t.Error("no Allow")
			}
		})
	}
}

// The detail alone says which field, which value and what is wrong, whoever found it.
func TestProxy_TheDetailNamesFieldAndValue(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	for _, c := range []struct {
		status             int
		method, path, body string
		want               string
	}{
		{422, "GET", "/v1/traces?limit=-1", "", "limit -1: expected number >= 1"},
		{422, "GET", "/v1/tap?rate=abc", "", `rate "abc": invalid integer`},
		{422, "GET", "/v1/events?last=abc", "", `last "abc": invalid integer`},
		{422, "GET", "/v1/alarms?rule=bogus", "", `there is no rule "bogus"; there are no_instance, `},
		{422, "POST", "/v1/silences", `{"by":"","why":"x","until":"2999-01-01T00:00:00Z"}`, `by "": expected length >= 1`},
		{422, "POST", "/v1/silences", `{"by":"me","until":"2999-01-01T00:00:00Z"}`, "expected required property why to be present"},
		{422, "POST", "/v1/silences", `{"by":"me","why":["` + strings.Repeat("x", 500) + `"],"until":"2999-01-01T00:00:00Z"}`, "why: expected string"},
		{422, "PUT", "/v1/alarm-rules", "{}", "expected required property rules to be present"},
		{422, "PUT", "/v1/alarm-rules", `{"rules":[{"name":"errors","limits":{"share":"x"}}]}`, `rules[0].limits.share "x": expected number`},
		{400, "PUT", "/v1/alarm-rules/errors", `{"limits":{"share":1e400}}`, "limits.share: a smaller number is needed, not 1e400"},
	} {
		p := r.must(c.status, c.method, c.path, c.body).problem(t)
		if !strings.HasPrefix(p.Detail, c.want) || len(p.Errors) == 0 {
			t.Errorf("%s %s: %+v, not %s", c.method, c.path, p, c.want)
		}
		if c.path == "/v1/alarms?rule=bogus" && p.Errors[0].Message != p.Detail { // or clients say it twice
			t.Errorf("%s %s: %+v", c.method, c.path, p)
		}
	}
}

func TestProxy_GivesTheValueThatIsWrong(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	p := r.must(422, "POST", "/worker/add", `{"name":"w","commands":[{"name":"a","worker":"b c"}]}`).problem(t)
	if len(p.Errors) != 1 || p.Errors[0].Value != "b c" {
		t.Errorf("%+v", p.Errors)
	}
}

func TestProxy_RefusesAChunkedBodyThatIsTooLarge(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	chunked := struct{ io.Reader }{strings.NewReader(strings.Repeat(" ", 1<<20+1))} // its length is not known
	resp, err := http.Post(r.proxy.URL()+"/worker/add", "application/json", chunked)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if ct := resp.Header.Get("Content-Type"); resp.StatusCode != 413 || ct != "application/problem+json" || err != nil {
		t.Errorf("%s, %s, %v", resp.Status, ct, err)
	}
	whole := r.must(413, "POST", "/worker/add", strings.Repeat(" ", 1<<20+1))
	if got, want := (reply{body: string(data)}).problem(t).Detail, whole.problem(t).Detail; got != want {
		t.Errorf("in chunks: %s; whole: %s", got, want)
	}
}

func TestProxy_TakesABodyOfExactlyTheLimit(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	doc := `{"name":"w"}`
	r.must(201, "POST", "/worker/add", doc+strings.Repeat(" ", 1<<20-len(doc)))
}

// A client that stops in the middle of its request is let go, and others are served meanwhile.
func TestProxy_LetsASlowClientGo(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	for name, c := range map[string]struct{ sent, want string }{
		"in the headers": {"POST /worker/add HTTP/1.1\r\nHost: x\r\nContent-Le", ""},
		"in the body":    {"POST /worker/add HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{", "HTTP/1.1 408"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", strings.TrimPrefix(r.proxy.URL(), "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if _, err := conn.Write([]byte(c.sent)); err != nil {
				t.Fatal(err)
			}
			r.must(200, "GET", "/v1/workers", "")
			if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(conn) // until the proxy closes
			if err != nil || !strings.HasPrefix(string(got), c.want) {
				t.Errorf("%q, %v; want %q and the end", got, err, c.want)
			}
		})
	}
}
