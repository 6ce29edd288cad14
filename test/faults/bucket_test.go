//go:build linux

package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey"
)

// js is JetStream at the broker.
func (s *site) js() jetstream.JetStream {
	s.t.Helper()
	js, err := jetstream.New(s.conn(s.hubURL()))
	must(s.t, err)
	return js
}

// The bucket is deleted under load, made again by the first who writes, and
// changes reach everybody; then it is wiped and filled in one go, which a watch
// does not tell.
func TestFault_BucketWiped(t *testing.T) {
	s := newSite(t)
	near := s.agent("near")
	s.line(near.url())
	entry := s.entry(near.url())
	l := s.load(entry, loadConfig{})
	u := s.usage()
	js := s.js()

	must(t, js.DeleteKeyValue(t.Context(), "damrey_workers"))
	last(7 * time.Second) // longer than the bucket is looked at
	s.rows()
	l.recovers("a wiped bucket")
	s.changesAreSeen(entry, "after the wipe")

	must(t, js.DeleteKeyValue(t.Context(), "damrey_workers"))
	s.rows()
	s.changesAreSeen(entry, "after the bucket was made anew at once")
	l.recovers("a bucket made anew")
	l.stop()
	u.returns()
}

// changesAreSeen points entry's echo at a worker that is not there and back.
func (s *site) changesAreSeen(entry *damrey.Instance, when string) {
	s.t.Helper()
	began := time.Now()
	for _, to := range []string{"nobody", "echo"} {
		s.point(to)
		eventually(s.t, "a change "+when+" is seen", func() bool {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_, err := entry.Request(ctx, "echo", "probe")
			return (kindOf(err) == damrey.RESPONSE) == (to == "echo")
		})
	}
	s.t.Logf("%s: two changes were seen within %v", when, time.Since(began).Round(time.Millisecond))
}

// One bit of the bucket flips on the disk while the broker is down. Nobody
// works with a table that has a gap: instances that run go on with the last
// good one, the proxy says which row is damaged, and putting it again heals all.
func faultBitFlipped(t *testing.T) {
	s := newSite(t)
	near := s.agent("near")
	s.line(near.url())
	row := damrey.Registration{Name: "victim", Commands: []damrey.Command{{Name: "flipped", Worker: "echo"}}}
	s.put(row)
	victim := s.worker("victim", near.url(), "-forward", "flipped")
	nc := s.conn(near.url())
	forwards := func(when string) {
		t.Helper()
		eventually(t, "victim forwards along its row "+when, func() bool {
			m, err := nc.Request("damrey.msg.victim.probe.entry", []byte(`["REQUEST","probe","x"]`), time.Second)
			return err == nil && string(m.Data) == `["RESPONSE","flipped","x"]`
		})
	}
	forwards("before the damage")
	l := s.load(s.entry(near.url()), loadConfig{})
	u := s.usage()
	s.hub.terminate()
	flip(t, s.data, []byte(`"flipped"`))
	s.hub.start()
	l.recovers("a flipped bit")
	eventually(t, "the damage is told", func() bool {
		list, err := s.client.Workers(t.Context())
		if err != nil {
			return strings.Contains(err.Error(), "victim")
		}
		return len(list.Damaged) == 1 && list.Damaged[0].Name == "victim"
	})
	eventually(t, "victim cannot read its row", func() bool { return victim.said("cannot read the routing table") })
	forwards("as it was last")
	s.put(row)
	eventually(t, "the list is whole again", func() bool {
		list, err := s.client.Workers(t.Context())
		return err == nil && len(list.Damaged) == 0 && len(list.Workers) == 6
	})
	eventually(t, "victim reads its row", func() bool { return victim.said("the routing table is read again") })
	forwards("after it was put again")
	l.stop()
	u.returns()
}

// flip changes one bit of the only occurrence of a text in the bucket's blocks.
func flip(t testing.TB, dir string, text []byte) {
	t.Helper()
	flipped := 0
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".blk") || !strings.Contains(path, "KV_damrey_workers") {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if at := bytes.Index(data, text); at >= 0 {
			data[at+3] ^= 4
			flipped++
			return os.WriteFile(path, data, 0o600)
		}
		return nil
	}))
	if flipped != 1 {
		t.Fatalf("%d blocks hold %s, want 1", flipped, text)
	}
}

// A newer version has written a row with fields that this one does not know,
// beside one of an older version. Both work, and what is unknown is kept.
func TestFault_RowsOfOtherVersions(t *testing.T) {
	s := newSite(t)
	near := s.agent("near")
	s.line(near.url())
	kv, err := s.js().KeyValue(t.Context(), "damrey_workers")
	must(t, err)
	newer := `{"mpu":"100","name":"entry","agent":"","weight":7,"commands":[` +
		`{"name":"echo","worker":"echo","mpu":"1","durable":{"ttl":"1h"}},{"name":"pass","worker":"pass","mpu":"1"}]}`
	older := `{"mpu":"100","name":"echo","agent":"","commands":[]}`
	for name, value := range map[string]string{"entry": newer, "echo": older} {
		_, err := kv.PutString(t.Context(), name, value)
		must(t, err)
	}
	l := s.load(s.entry(near.url()), loadConfig{})
	u := s.usage()
	l.stop()
	l.onlyResponses()
	u.returns()
	reg, _, err := s.client.Worker(t.Context(), "entry")
	must(t, err)
	data, err := json.Marshal(reg)
	must(t, err)
	for _, kept := range []string{`"weight":7`, `"durable":{"ttl":"1h"}`} {
		if !bytes.Contains(data, []byte(kept)) {
			t.Errorf("%s is lost: %s", kept, data)
		}
	}
}
