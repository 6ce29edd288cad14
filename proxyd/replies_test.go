package proxyd_test

import (
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/damrey/damrey/proxyd"
)

const writesTheTable = "$KV.damrey_workers.entry"

func TestTrap_ThroughAReplySubjectOfServiceDiscoveryNobodyWritesTheTable(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{ReplyPrefixes: []string{"mine."}})
	r.must(201, "POST", "/worker/add", seed)
	user := connect(t, r.srv)
	var ping micro.Ping
	request(t, user, "$SRV.PING.damrey-proxy", &ping)
	for _, verb := range []string{"PING", "INFO", "STATS"} {
		for _, whom := range []string{"", ".damrey-proxy", ".damrey-proxy." + ping.ID} {
			question := "$SRV." + verb + whom
			publishEmpty(t, user, question, writesTheTable)
			request(t, user, question, &ping) // is handled after it
		}
	}
	r.sameRow(user)

	mine, err := user.SubscribeSync("mine.box")
	if err != nil {
		t.Fatal(err)
	}
	publishEmpty(t, user, "$SRV.PING", "mine.box")
	if _, err := mine.NextMsg(20 * time.Second); err != nil {
		t.Errorf("a prefix that was allowed: %v", err)
	}
}

func TestTrap_ThroughAReplySubjectOfWhatCannotBeStoredNobodyWritesTheTable(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	r := newRig(t, proxyd.Config{Trouble: func() error {
		if broken.Load() {
			return errors.New("no space left on device")
		}
		return nil
	}})
	r.must(201, "POST", "/worker/add", seed)
	user := connect(t, r.srv)
	broken.Store(true)
	for _, what := range []string{"job", "held"} { // no stream stores those and answers too
		subject := "damrey." + what + ".nobody.x"
		eventually(t, "senders are told", func() bool {
			m, err := user.Request(subject, nil, time.Second)
			return err == nil && strings.Contains(string(m.Data), "no space left")
		})
		publishEmpty(t, user, subject, writesTheTable)
		var refusal struct{ Error struct{ Code int } }
		if request(t, user, subject, &refusal); refusal.Error.Code != 507 { // is handled after it
			t.Errorf("%+v", refusal)
		}
	}
	r.sameRow(user)
}

func publishEmpty(t *testing.T, nc *nats.Conn, subject, reply string) {
	t.Helper()
	if err := nc.PublishRequest(subject, reply, nil); err != nil {
		t.Fatal(err)
	}
}

func request(t *testing.T, nc *nats.Conn, subject string, answer any) {
	t.Helper()
	m, err := nc.Request(subject, nil, 20*time.Second)
	if err == nil {
		err = json.Unmarshal(m.Data, answer)
	}
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
}

// sameRow fails the test when the row of entry is no longer the first that was written. What the proxy has published before is
// stored before the row that is written here.
func (r *rig) sameRow(user *nats.Conn) {
	r.t.Helper()
	if _, err := user.Request("$KV.damrey_workers.later", []byte(`{"name":"later"}`), 20*time.Second); err != nil {
		r.t.Fatal(err)
	}
	row, err := r.bucket("damrey_workers").Get(r.t.Context(), "entry")
	if err != nil {
		r.t.Fatal(err)
	}
	if row.Revision() != 1 {
		r.t.Errorf("the table was written: revision %d, %s", row.Revision(), row.Value())
	}
}
