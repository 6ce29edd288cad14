package proxyd_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/damrey/damrey/proxyd"
)

// newLoggedRig is a proxy whose log is read, and JetStream as it reaches it.
func newLoggedRig(t *testing.T) (*rig, jetstream.JetStream, *logBuffer) {
	t.Helper()
	logged := new(logBuffer)
	r := newRig(t, proxyd.Config{Log: zerolog.New(logged)})
	js, err := jetstream.New(r.nc)
	if err != nil {
		t.Fatal(err)
	}
	return r, js, logged
}

func TestProxy_MakesTheStreamsOfDurableRoutes(t *testing.T) {
	t.Parallel()
	r, js, logged := newLoggedRig(t)
	config := func() (cfg jetstream.StreamConfig, found bool) {
		s, err := js.Stream(t.Context(), "DAMREY_JOBS_bank")
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return cfg, false
		}
		if err != nil {
			t.Fatal(err)
		}
		_, err = js.Consumer(t.Context(), "DAMREY_JOBS_bank", "work")
		return s.CachedInfo().Config, err == nil
	}
	r.must(201, "POST", "/worker/add", `{"name":"bank","max_messages":7}`)
	r.must(201, "POST", "/worker/add", `{"name":"entry","commands":[{"name":"pay","worker":"bank","delivery":"durable"}]}`)
	eventually(t, "the stream is there", func() bool { _, found := config(); return found })
	cfg, _ := config()
	if cfg.MaxMsgs != 7 || cfg.Retention != jetstream.WorkQueuePolicy || cfg.Discard != jetstream.DiscardNew || !cfg.AllowDirect {
		t.Errorf("%+v", cfg)
	}

	for range 3 {
		if _, err := js.Publish(t.Context(), "damrey.job.bank.pay.entry", []byte(`["REQUEST","pay"]`)); err != nil {
			t.Fatal(err)
		}
	}
	// Limits below what is stored remove nothing.
	r.must(200, "POST", "/worker/chg", `{"name":"bank","max_messages":2}`)
	eventually(t, "the limit is changed", func() bool { cfg, _ := config(); return cfg.MaxMsgs == 2 })
	eventually(t, "that is said", func() bool {
		return logged.has("more is stored than the limits allow now; nothing is removed", `"messages":3`, `"max_messages":2`)
	})
	s, err := js.Stream(t.Context(), "DAMREY_JOBS_bank")
	if err != nil || s.CachedInfo().State.Msgs != 3 {
		t.Fatalf("%v, %d messages", err, s.CachedInfo().State.Msgs)
	}

	p := r.must(409, "DELETE", "/v1/workers/bank", "").problem(t)
	if !strings.Contains(p.Detail, "3 messages are stored") {
		t.Error(p.Detail)
	}
	r.must(409, "POST", "/worker/del", `{"name":"bank"}`)
	r.must(422, "DELETE", "/v1/workers/bank?jobs=gone", "")
	r.must(404, "DELETE", "/v1/workers/none?jobs=keep", "")
	r.must(200, "DELETE", "/v1/workers/bank?jobs=keep", "")

	// Deleted by hand it is made again.
	if err := js.DeleteStream(t.Context(), "DAMREY_JOBS_bank"); err != nil {
		t.Fatal(err)
	}
	r.must(201, "POST", "/worker/add", `{"name":"bank"}`)
	eventually(t, "the stream is there again", func() bool { _, found := config(); return found })
	eventually(t, "the loss is said", func() bool { return logged.has("was deleted by somebody", `"messages":3`) })
}

// logBuffer keeps what a proxy logs.
type logBuffer struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// has says that one line holds all of them.
func (b *logBuffer) has(all ...string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for line := range strings.Lines(b.text.String()) {
		if !slices.ContainsFunc(all, func(s string) bool { return !strings.Contains(line, s) }) {
			return true
		}
	}
	return false
}

// What was stored while a durable route was paused goes on when it is not, also when the route is gone by then.
func TestProxy_LetsHeldMessagesGoOn(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	js, err := jetstream.New(r.nc)
	if err != nil {
		t.Fatal(err)
	}
	r.must(201, "POST", "/worker/add", `{"name":"bank","max_messages":4}`)
	r.must(201, "POST", "/worker/add", `{"name":"entry","commands":[{"name":"pay","worker":"bank","delivery":"durable","paused":true}]}`)
	eventually(t, "the stream is there", func() bool { _, err := js.Stream(t.Context(), "DAMREY_JOBS_bank"); return err == nil })
	count := func(subject string) int {
		s, err := js.Stream(t.Context(), "DAMREY_JOBS_bank")
		if err != nil {
			t.Fatal(err)
		}
		info, err := s.Info(t.Context(), jetstream.WithSubjectFilter(subject))
		if err != nil {
			t.Fatal(err)
		}
		return len(info.State.Subjects)
	}
	for _, subject := range []string{"damrey.held.bank.pay.entry.1", "damrey.held.bank.pay.entry.2", "damrey.held.bank.gone.entry.1", "damrey.held.bank.gone.other.1"} {
		if _, err := js.Publish(t.Context(), subject, []byte(`["REQUEST","pay"]`)); err != nil {
			t.Fatal(err)
		}
	}
	r.must(200, "POST", "/worker/chg", `{"name":"bank","max_messages":4,"mpu":7}`)
	eventually(t, "what no route holds goes on", func() bool { return count("damrey.held.bank.gone.>") == 0 && count("damrey.job.bank.gone.>") == 2 })
	if held := count("damrey.held.bank.pay.entry.*"); held != 2 {
		t.Fatalf("%d of 2 wait on the paused route", held)
	}
	r.must(200, "POST", "/worker/chg", `{"name":"entry","commands":[{"name":"pay","worker":"bank","delivery":"durable"}]}`)
	eventually(t, "what waited goes on", func() bool { return count("damrey.held.>") == 0 && count("damrey.job.bank.pay.entry") == 1 })
	s, err := js.Stream(t.Context(), "DAMREY_JOBS_bank")
	if err != nil || s.CachedInfo().State.Msgs != 4 {
		t.Fatalf("%v, %d messages", err, s.CachedInfo().State.Msgs)
	}
}
