package proxyd_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/damrey/damrey/proxyd"
)

func TestPage_IsForBrowsers(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	page := r.do("GET", "/", "", "Accept: text/html,application/xhtml+xml,*/*;q=0.8")
	if page.status != http.StatusOK || !strings.Contains(page.body, `src="/page/app.js"`) || !strings.Contains(page.header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("a browser gets %d %v: %.200s", page.status, page.header, page.body)
	}
	for _, accept := range []string{"*/*", "text/plain"} {
		got := r.do("GET", "/", "", "Accept: "+accept)
		if got.status != http.StatusOK || got.header.Get("Content-Type") != "text/plain; charset=utf-8" || got.header.Get("Vary") != "Accept" {
			t.Errorf("Accept %s: %d %v", accept, got.status, got.header)
		}
		for _, path := range []string{"/ ", "/openapi.json", "/v1/network"} {
			if !strings.Contains(got.body, r.proxy.URL()+path) {
				t.Errorf("Accept %s: %s is not named: %s", accept, path, got.body)
			}
		}
	}
	for _, accept := range []string{"application/json", "application/json, */*", "application/problem+json"} {
		got := r.do("GET", "/", "", "Accept: "+accept)
		if got.status != http.StatusNotFound || !strings.Contains(got.problem(t).Detail, "/openapi.json") || got.header.Get("Vary") != "Accept" {
			t.Errorf("Accept %s: %d %v: %s", accept, got.status, got.header, got.body)
		}
	}
	if got := r.do("GET", "/page/app.js", ""); got.status != http.StatusOK || got.header.Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Errorf("the script is %d %v", got.status, got.header)
	}
	for path, method := range map[string]string{"/page/": "GET", "/page/nothing.js": "GET", "/page/../page/app.js": "GET"} {
		if got := r.do(method, path, ""); got.status != http.StatusNotFound || got.problem(t).Detail == "" {
			t.Errorf("%s %s: %d %s", method, path, got.status, got.body)
		}
	}
	if got := r.do("POST", "/page/app.js", ""); got.status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d %s", got.status, got.body)
	}
}

func TestReadOnly_RefusesChanges(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{ReadOnly: true})
	for path, method := range map[string]string{
		"/v1/workers/entry": "PUT", "/worker/add": "POST", "/v1/dead/7": "DELETE", "/v1/dead/8": "PATCH", "/v1/dead/7/retry": "POST", "/v1/agents/x": "POST",
	} {
		got := r.do(method, path, `{"name":"entry"}`)
		if got.status != http.StatusForbidden || !strings.Contains(got.problem(t).Detail, "--read-only") {
			t.Errorf("%s %s: %d %s", method, path, got.status, got.body)
		}
	}
	if got := r.do("GET", "/v1/workers", ""); got.status != http.StatusOK || strings.Contains(got.body, "entry") {
		t.Errorf("the table: %d %s", got.status, got.body)
	}
	if got := r.do("GET", "/v1/fabric", ""); !strings.Contains(got.body, `"read_only":true`) {
		t.Errorf("nobody is told: %s", got.body)
	}
}

func TestReadOnly_LeavesAgentsTheirNames(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{ReadOnly: true})
	const path = "/v1/agents/10.1.2.3:4222"
	r.must(http.StatusOK, "PUT", path, `{"id":"Zb1xQ0v6","host":"machine-1","pid":4711}`)
	r.must(http.StatusUnprocessableEntity, "DELETE", path, "")
	r.must(http.StatusConflict, "DELETE", path+"?id=another", "")
	if got := r.do("GET", "/v1/agents", ""); !strings.Contains(got.body, "machine-1") || strings.Contains(got.body, "Zb1xQ0v6") {
		t.Errorf("the list: %s", got.body)
	}
	r.must(http.StatusNoContent, "DELETE", path+"?id=Zb1xQ0v6", "")
	if got := r.do("GET", "/v1/agents", ""); strings.Contains(got.body, "machine-1") {
		t.Errorf("an agent that gave its name back still has it: %s", got.body)
	}
}
