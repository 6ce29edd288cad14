package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

// A stream over damrey.out.> acknowledges to who asks, or says that it is full, before the answer comes.
func TestRequest_TakesNoStreamsWordForAnAnswer(t *testing.T) {
	t.Parallel()
	p := startPatient(t)
	nc := p.connect(t)
	for _, said := range []string{
		`{"stream":"AUDIT", "seq":1}`,
		`{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"},"stream":"AUDIT","seq":0}`,
	} {
		bridge, err := nc.Subscribe("other.out.entry.add", func(m *nats.Msg) {
			_ = m.Respond([]byte(said))
			_ = m.Respond([]byte(`["RESPONSE","add","7"]`))
		})
		if err == nil {
			err = nc.Flush()
		}
		if err != nil {
			t.Fatal(err)
		}
		for verb, want := range map[string]string{"request": "7\n", "send": ""} {
			var stdout, stderr bytes.Buffer
			code := execute([]string{verb, "entry", "add", "3", "--prefix", "other", "--nats", p.nats[0]}, newTestApp(&stdout, &stderr, nil))
			if code != exitOK || stdout.String() != want || !strings.Contains(stderr.String(), "stores this fabric's subjects") || !strings.Contains(stderr.String(), "AUDIT") {
				t.Errorf("%s after %s: %d %q %s", verb, said, code, stdout.String(), stderr.String())
			}
		}
		if err := bridge.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
	}
}
