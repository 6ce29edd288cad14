package web_test

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/damrey/damrey/proxyd/web"
)

func fetch(t *testing.T, path string, headers ...string) *http.Response {
	t.Helper()
	page, err := web.New()
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	if path == "/" {
		page.ServeDocument(w, r)
	} else if !page.ServeFile(w, r) {
		w.WriteHeader(http.StatusNotFound)
	}
	return w.Result()
}

func TestPage_Headers(t *testing.T) {
	t.Parallel()
	for path, kind := range map[string]string{
		"/": "text/html; charset=utf-8", "/page/app.js": "text/javascript; charset=utf-8", "/page/style.css": "text/css; charset=utf-8",
		"/page/icon.svg": "image/svg+xml", "/page/vendor/preact/LICENSE": "text/plain; charset=utf-8", "/page/views/dead.js": "text/javascript; charset=utf-8",
	} {
		got := fetch(t, path)
		h := got.Header
		if got.StatusCode != http.StatusOK || h.Get("Content-Type") != kind || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %d %v", path, got.StatusCode, h)
		}
		if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") {
			t.Errorf("%s: policy %q", path, csp)
		}
		if again := fetch(t, path, "If-None-Match", h.Get("ETag")); again.StatusCode != http.StatusNotModified {
			t.Errorf("%s, which is known: %d", path, again.StatusCode)
		}
	}
	for _, path := range []string{"/page/", "/page/index.html", "/page/views", "/page/views/", "/page/../web.go", "/page/nothing.js", "/app.js"} {
		if got := fetch(t, path); got.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
	}
}

func TestWanted(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]bool{
		"text/html,application/xhtml+xml,*/*;q=0.8": true, "application/json, Text/HTML;q=0.5": true, "*/*": false, "": false, "application/json": false,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept", accept)
		if got := web.Wanted(r); got != want {
			t.Errorf("Accept %q: %v", accept, got)
		}
	}
}

// What is our own names no other place, and makes no markup of text.
func TestFiles_AskNobodyElse(t *testing.T) {
	t.Parallel()
	foreign := regexp.MustCompile(`https?://[^\s'"]+|//[a-z]+\.[a-z]+/`)
	wrong := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|dangerouslySetInnerHTML|\beval\(|new Function|\sstyle="`)
	err := fs.WalkDir(os.DirFS("static"), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(name, "vendor/") {
			return err
		}
		data, err := os.ReadFile("static/" + name)
		for _, found := range foreign.FindAllString(string(data), -1) {
			if found != "http://www.w3.org/2000/svg" {
				t.Errorf("%s names %s", name, found)
			}
		}
		if found := wrong.FindString(string(data)); found != "" {
			t.Errorf("%s has %s", name, found)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The layout and the other pure modules are tested where they run, by Node.js.
func TestModules(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("node is not there; apt-get install nodejs")
		}
		t.Skip("node is not there, so the layout is not tested; apt-get install nodejs")
	}
	out, err := exec.Command(node, "--test", "testdata/graph.test.mjs", "testdata/modules.test.mjs").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "# fail 0") && !strings.Contains(string(out), "ℹ fail 0") {
		t.Fatalf("node did not say how it went:\n%s", out)
	}
}
