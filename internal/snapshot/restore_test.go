package snapshot_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey/internal/bucket"
	"github.com/damrey/damrey/internal/snapshot"
)

// backedUp is a fabric of no workers.
func backedUp(t *testing.T) (snapshot.Backup, []byte) {
	t.Helper()
	js := start(t)
	if err := bucket.Ensure(t.Context(), js, "a"); err != nil {
		t.Fatal(err)
	}
	_, file := backup(t, js, "a")
	b, err := snapshot.Verify(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return b, file
}

// A cluster that has just lost a server leaves some restores to it; and where a server listens for the chunks is known
// later than its answer in some, or never when it is gone by then.
func TestRestore_IsBegunAnewWhereNobodyTakesIt(t *testing.T) {
	t.Parallel()
	b, file := backedUp(t)

	nc := connect(t, &server.Options{DontListen: true, NoSigs: true, NoLog: true})
	var got bytes.Buffer
	take := func() {
		_, err := nc.Subscribe("take", func(m *nats.Msg) {
			got.Write(m.Data)
			var said string
			if len(m.Data) == 0 {
				said = fmt.Sprintf(`{"state":{"messages":0},"ts":%q}`, time.Now().Format(time.RFC3339Nano))
			}
			_ = m.Respond([]byte(said))
		})
		if err != nil {
			t.Error(err)
		}
	}
	var begun, deleted atomic.Int32
	_, err := nc.Subscribe("$JS.API.STREAM.*.KV_a_workers", func(m *nats.Msg) {
		switch {
		case strings.Contains(m.Subject, ".INFO."):
			_ = m.Respond([]byte(`{"error":{"code":404,"err_code":10059,"description":"stream not found"}}`))
		case strings.Contains(m.Subject, ".DELETE."):
			deleted.Add(1)
			_ = m.Respond([]byte(`{"success":true}`))
		default:
			switch begun.Add(1) {
			case 1: // nobody takes it
			case 2:
				_ = m.Respond([]byte(`{"deliver_subject":"nobody"}`))
			default:
				_ = m.Respond([]byte(`{"deliver_subject":"take"}`))
				time.AfterFunc(300*time.Millisecond, take)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	other, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	err = snapshot.NewTarget(other, "a", nil, false).Restore(t.Context(), b, bytes.NewReader(file), func(snapshot.Restored) {})
	if err != nil || begun.Load() != 3 || deleted.Load() != 2 || int64(got.Len()) != b.Streams[0].Size {
		t.Errorf("begun %d times, removed %d times, %d bytes came: %v", begun.Load(), deleted.Load(), got.Len(), err)
	}
}

func TestTarget_SaysWhatCannotBeMade(t *testing.T) {
	t.Parallel()
	b, _ := backedUp(t)
	nc := connect(t, &server.Options{DontListen: true, NoSigs: true, NoLog: true})
	_, err := nc.Subscribe("$JS.API.STREAM.CREATE.A_RESTORING", func(m *nats.Msg) {
		_ = m.Respond([]byte(`{"error":{"code":400,"err_code":10005,"description":"no suitable peers for placement"}}`))
	})
	if err != nil {
		t.Fatal(err)
	}
	few, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	err = snapshot.NewTarget(few, "a", []snapshot.Held{{Name: "KV_a_workers", Replicas: 3}}, true).Check(t.Context(), b)
	if err == nil || !strings.Contains(err.Error(), "a stream with 3 copies cannot be made: nats: API error: code=400 err_code=10005") {
		t.Errorf("got %v", err)
	}
}
