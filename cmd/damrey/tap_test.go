package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/damrey/damrey/internal/report"
)

// answerLeases sends copies to whoever asks for them, as instances do, and gives what was asked.
func answerLeases(t *testing.T, nc *nats.Conn, copies ...any) <-chan report.Lease {
	t.Helper()
	leases := make(chan report.Lease, 100)
	if _, err := nc.Subscribe(report.TapSubject("damrey"), func(m *nats.Msg) {
		var lease report.Lease
		if err := json.Unmarshal(m.Data, &lease); err != nil {
			t.Error(err)
		}
		leases <- lease
		for _, c := range copies {
			data, err := json.Marshal(c)
			if err != nil {
				t.Error(err)
			}
			if err := nc.Publish(lease.Inbox, data); err != nil && !nc.IsClosed() { // a lease may come after the end
				t.Error(err)
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return leases
}

func runTapVerb(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, err bytes.Buffer
	code = execute(append([]string{"tap"}, args...), newTestApp(&out, &err, nil))
	return out.String(), err.String(), code
}

func someCopies() []any {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.Local)
	return []any{
		report.Copy{At: at, From: "shop", Type: "order", To: "order", Instance: "abc", Args: []string{"7", "a b\x1b[2J"}, Outcome: "forward", Wait: 0.25, Work: 12},
		"nonsense",
		report.Copy{At: at, From: "order", Type: "pay", To: "bank", Instance: "def", Hop: 2, Outcome: "error", Error: "declined", Skipped: 40},
	}
}

func TestTap_PrintsCopies(t *testing.T) {
	t.Parallel()
	p := startPatient(t)
	leases := answerLeases(t, p.connect(t), someCopies()...)
	stdout, stderr, code := runTapVerb(t, "shop", "order", "--to", "bank", "--sample", "1%", "--rate", "9", "--args", "--count", "2", "--nats", p.nats[0])
	want := "03:04:05.006  shop→order→order  7 \"a b\\x1b[2J\"  forward  wait 0.2 ms, work 12.0 ms  abc\n" +
		"03:04:05.006  order→pay→bank  error: declined  wait 0.0 ms, work 0.0 ms, hop 2  def\n"
	if code != exitOK || stdout != want {
		t.Errorf("%d: %s%s, want %s", code, stdout, stderr, want)
	}
	for _, text := range []string{"bank def left out 40 because of --rate 9", "1 copies could not be read"} {
		if !strings.Contains(stderr, text) {
			t.Errorf("no %q in %s", text, stderr)
		}
	}
	lease := <-leases
	if lease.ID == "" || lease.From != "shop" || lease.Type != "order" || lease.To != "bank" || lease.Sample != 0.01 || lease.Rate != 9 || !lease.Args {
		t.Errorf("%+v", lease)
	}
}

func TestTap_IsRenewedAndPrintsJSON(t *testing.T) {
	t.Parallel()
	p := startPatient(t)
	leases := answerLeases(t, p.connect(t), someCopies()...)
	stdout, stderr, code := runTapVerb(t, "*", "--count", "3", "-o", "json", "--nats", p.nats[0]) // each lease brings two
	var last report.Copy
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); code != exitOK || len(lines) != 3 || err != nil || last.To != "order" {
		t.Errorf("%d: %s%s %v", code, stdout, stderr, err)
	}
	first, second := <-leases, <-leases
	if first != second || first.From != "" || first.Type != "" || first.Args {
		t.Errorf("%+v, then %+v", first, second)
	}
}

func TestTap_SaysThatNobodyAnswers(t *testing.T) {
	t.Parallel()
	p := startPatient(t)
	nc := p.connect(t)
	silent := make(chan struct{})
	if _, err := nc.Subscribe("damrey.tap", func(m *nats.Msg) {
		var lease report.Lease
		if err := json.Unmarshal(m.Data, &lease); err != nil {
			t.Error(err)
		}
		select {
		case <-silent: // the second lease, sent when the silence has been said or is about to
			time.AfterFunc(nobodyYet/2, func() { _ = nc.Publish(lease.Inbox, []byte(`{"outcome":"none"}`)) })
		default:
			close(silent)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	_, stderr, code := runTapVerb(t, "*", "--count", "1", "--nats", p.nats[0])
	if code != exitOK || !strings.Contains(stderr, "Nothing yet from *→*→*") || !strings.Contains(stderr, "without the library") {
		t.Errorf("%d: %s", code, stderr)
	}
}
