package proxyd_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey/proxyd"
)

func TestProxy_MakesTheStreamsOfDurableRoutes(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	js, err := jetstream.New(r.nc)
	if err != nil {
		t.Fatal(err)
	}
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
	if cfg.MaxMsgs != 7 || cfg.Retention != jetstream.WorkQueuePolicy || cfg.Discard != jetstream.DiscardNew {
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
}
