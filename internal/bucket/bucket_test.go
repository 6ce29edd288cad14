package bucket_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey/internal/bucket"
)

const stream = "KV_damrey_workers"

// startServer runs a NATS server without a port.
func startServer(t *testing.T, js bool) *server.Server {
	t.Helper()
	return startServerIn(t, js, t.TempDir())
}

func startServerIn(t *testing.T, js bool, dir string) *server.Server {
	t.Helper()
	srv, err := server.NewServer(&server.Options{
		DontListen: true, NoSigs: true, NoLog: true, JetStream: js, JetStreamDomain: "damrey", StoreDir: dir,
	})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("server is not ready")
	}
	return srv
}

func connect(t *testing.T, srv *server.Server) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(srv))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func ensure(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	if err := bucket.Ensure(testContext(t), js, "damrey"); err != nil {
		t.Fatal(err)
	}
}

func config(t *testing.T, js jetstream.JetStream, name string) jetstream.StreamConfig {
	t.Helper()
	s, err := js.Stream(testContext(t), name)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().Config
}

// watchUpdates counts the stream updates that js asks for; read it after a flush, since it uses the same connection.
func watchUpdates(t *testing.T, js jetstream.JetStream) func() int {
	t.Helper()
	sub, err := js.Conn().SubscribeSync("$JS.API.STREAM.UPDATE.>")
	if err != nil {
		t.Fatal(err)
	}
	return func() int {
		if err := js.Conn().Flush(); err != nil {
			t.Fatal(err)
		}
		n, _, err := sub.Pending()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
}

func TestEnsure_MakesBothBuckets(t *testing.T) {
	t.Parallel()
	js := connect(t, startServer(t, true))
	ensure(t, js)

	for name, history := range map[string]int64{"damrey_workers": 64, "damrey_agents": 1} {
		cfg := config(t, js, "KV_"+name)
		if cfg.MaxMsgsPerSubject != history || cfg.Storage != jetstream.FileStorage || cfg.Metadata["damrey.schema"] != "1" {
			t.Errorf("%s: history %d, storage %v, metadata %v", name, cfg.MaxMsgsPerSubject, cfg.Storage, cfg.Metadata)
		}
		kv, err := js.KeyValue(testContext(t), name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kv.Create(testContext(t), "add", []byte("{}")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEnsure_WritesNothingWhenNothingDiffers(t *testing.T) {
	t.Parallel()
	js := connect(t, startServer(t, true))
	ensure(t, js)
	updates := watchUpdates(t, js)
	ensure(t, js)
	if n := updates(); n != 0 {
		t.Errorf("%d updates of buckets that are as they should be", n)
	}
}

func TestEnsure_WorksThroughADomain(t *testing.T) {
	t.Parallel()
	plain := connect(t, startServer(t, true))
	js, err := jetstream.NewWithDomain(plain.Conn(), "damrey")
	if err != nil {
		t.Fatal(err)
	}
	ensure(t, js)
	config(t, plain, stream)
}

// nats-server 2.15.2: CreateOrUpdateKeyValue with the same config switches atomic publish and republish off.
func TestTrap_EnsureKeepsWhatOthersSwitchedOn(t *testing.T) {
	t.Parallel()
	js := connect(t, startServer(t, true))
	ctx := testContext(t)
	ensure(t, js)

	cfg := config(t, js, stream)
	cfg.AllowAtomicPublish = true
	cfg.RePublish = &jetstream.RePublish{Source: ">", Destination: "copy.>"}
	cfg.MaxBytes = 1 << 20
	cfg.Metadata["owner"] = "somebody"
	delete(cfg.Metadata, "damrey.schema") // so that Ensure has something to write
	cfg.MaxMsgsPerSubject = 5
	if _, err := js.UpdateStream(ctx, cfg); err != nil {
		t.Fatal(err)
	}

	ensure(t, js)
	got := config(t, js, stream)
	if got.MaxMsgsPerSubject != 64 || got.Metadata["damrey.schema"] != "1" {
		t.Errorf("not raised: history %d, metadata %v", got.MaxMsgsPerSubject, got.Metadata)
	}
	if !got.AllowAtomicPublish || got.RePublish == nil || got.RePublish.Destination != "copy.>" {
		t.Errorf("switched off: atomic %v, republish %v", got.AllowAtomicPublish, got.RePublish)
	}
	if got.MaxBytes != 1<<20 || got.Metadata["owner"] != "somebody" {
		t.Errorf("lost: max bytes %d, metadata %v", got.MaxBytes, got.Metadata)
	}
}

func TestEnsure_RaisesHistoryAndKeepsValues(t *testing.T) {
	t.Parallel()
	js := connect(t, startServer(t, true))
	ctx := testContext(t)
	kv, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "damrey_workers", Description: "mine", History: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.PutString(ctx, "add", "1"); err != nil {
		t.Fatal(err)
	}

	ensure(t, js)
	if cfg := config(t, js, stream); cfg.MaxMsgsPerSubject != 64 || cfg.Description != "mine" {
		t.Errorf("history %d, description %q", cfg.MaxMsgsPerSubject, cfg.Description)
	}
	if e, err := kv.Get(ctx, "add"); err != nil || string(e.Value()) != "1" {
		t.Errorf("value %v, %v", e, err)
	}
}

func TestEnsure_NeverWritesUnderAHigherSchema(t *testing.T) {
	t.Parallel()
	js := connect(t, startServer(t, true))
	_, err := js.CreateKeyValue(testContext(t), jetstream.KeyValueConfig{
		Bucket: "damrey_workers", History: 7, Metadata: map[string]string{"damrey.schema": "2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	updates := watchUpdates(t, js)
	ensure(t, js)
	cfg := config(t, js, stream)
	if n := updates(); n != 0 || cfg.MaxMsgsPerSubject != 7 || cfg.Metadata["damrey.schema"] != "2" {
		t.Errorf("%d updates, history %d, metadata %v", n, cfg.MaxMsgsPerSubject, cfg.Metadata)
	}
}

func TestEnsure_NamesAnUnreadableSchema(t *testing.T) {
	t.Parallel()
	js := connect(t, startServer(t, true))
	_, err := js.CreateKeyValue(testContext(t), jetstream.KeyValueConfig{
		Bucket: "damrey_workers", Metadata: map[string]string{"damrey.schema": "one"},
	})
	if err != nil {
		t.Fatal(err)
	}
	err = bucket.Ensure(testContext(t), js, "damrey")
	if !errors.Is(err, bucket.ErrSchema) || !strings.Contains(err.Error(), `"one"`) {
		t.Errorf("got %v", err)
	}
}

func TestEnsure_EightAtOnce(t *testing.T) {
	t.Parallel()
	srv := startServer(t, true)
	first := connect(t, srv)
	if _, err := first.CreateKeyValue(testContext(t), jetstream.KeyValueConfig{Bucket: "damrey_workers", History: 1}); err != nil {
		t.Fatal(err)
	}
	ctx := testContext(t)
	var wg sync.WaitGroup
	for range 8 {
		js := connect(t, srv)
		wg.Go(func() {
			if err := bucket.Ensure(ctx, js, "damrey"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if cfg := config(t, first, stream); cfg.MaxMsgsPerSubject != 64 || cfg.Metadata["damrey.schema"] != "1" {
		t.Errorf("history %d, metadata %v", cfg.MaxMsgsPerSubject, cfg.Metadata)
	}
	config(t, first, "KV_damrey_agents")
}

func TestEnsure_SaysThatJetStreamIsMissing(t *testing.T) {
	t.Parallel()
	js := connect(t, startServer(t, false))
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := bucket.Ensure(ctx, js, "damrey")
	if !errors.Is(err, bucket.ErrNoJetStream) || !errors.Is(err, context.DeadlineExceeded) ||
		!strings.Contains(err.Error(), "damrey_workers") || !strings.Contains(err.Error(), "nats-server -js") {
		t.Errorf("got %v", err)
	}
}

func TestEnsure_WaitsForJetStream(t *testing.T) {
	t.Parallel()
	srv := startServer(t, false)
	js := connect(t, srv)
	asked, err := js.Conn().SubscribeSync("$JS.API.>")
	if err != nil {
		t.Fatal(err)
	}
	ctx := testContext(t)
	done := make(chan error, 1)
	go func() { done <- bucket.Ensure(ctx, js, "damrey") }()
	first, err := asked.NextMsgWithContext(ctx) // it asked before JetStream was there
	if err != nil {
		t.Fatal(err)
	}
	if err := asked.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	// What a server says whose JetStream starts: https://github.com/nats-io/nats-server/blob/main/server/errors.json
	if err := first.Respond([]byte(`{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}`)); err != nil {
		t.Fatal(err)
	}
	if err := srv.EnableJetStream(&server.JetStreamConfig{StoreDir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A server newer than our client library may send fields that the library has no name for.
func TestEnsure_WritesBackFieldsItDoesNotKnow(t *testing.T) {
	t.Parallel()
	nc := connect(t, startServer(t, false)).Conn() // nobody answers JetStream requests here but this test
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stored := map[string]any{"max_msgs_per_subject": 1, "from_the_future": map[string]any{"a": 1e3}}
	var mu sync.Mutex // guards stored
	_, err = nc.Subscribe("$JS.API.STREAM.*.*", func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		if strings.Contains(m.Subject, ".UPDATE.") {
			if err := json.Unmarshal(m.Data, &stored); err != nil {
				t.Error(err)
			}
		}
		body, _ := json.Marshal(map[string]any{"config": stored})
		_ = m.Respond(body)
	})
	if err != nil {
		t.Fatal(err)
	}
	ensure(t, js)
	mu.Lock()
	defer mu.Unlock()
	if stored["from_the_future"] == nil || stored["max_msgs_per_subject"] != 64.0 {
		t.Errorf("written back: %v", stored)
	}
}
