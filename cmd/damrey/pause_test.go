package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A pause is made again when somebody else changed the entry meanwhile, on what is there then.
func TestPause_TriesAgainWhenSomebodyElseWasFaster(t *testing.T) {
	t.Parallel()
	revision, busy := 1, 2
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tag := fmt.Sprintf("%q", fmt.Sprint(revision))
		if r.Method == http.MethodGet {
			w.Header().Set("ETag", tag)
			revision += busy // somebody else changes it
			busy = max(0, busy-1)
			fmt.Fprintf(w, `{"name":"w","agent":"seen at %s","commands":[]}`, strings.Trim(tag, `"`))
			return
		}
		if r.Header.Get("If-Match") != tag {
			w.WriteHeader(http.StatusPreconditionFailed)
			return
		}
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body) // what is missing is seen below
		if !strings.Contains(body.String(), "seen at 4") || !strings.Contains(body.String(), `"paused":true`) {
			t.Errorf("stored %s", &body)
		}
		w.Header().Set("ETag", `"5"`)
		fmt.Fprint(w, body.String())
	}))
	defer proxy.Close()
	var stdout, stderr bytes.Buffer
	args := []string{"worker", "pause", "w", "--proxy", proxy.URL}
	if code := execute(args, newTestApp(&stdout, &stderr, nil)); code != exitOK || stdout.String() != "paused w (revision 5)\n" {
		t.Errorf("code %d, %s%s", code, &stdout, &stderr)
	}
}
