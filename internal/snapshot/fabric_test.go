package snapshot_test

import (
	"context"
	"encoding/json"
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

// electing answers as JetStream does, with the pages of names in turn, of which the last comes again; "" and 503 are an
// election. Its streams answer from their n-th question on, never if that is 0.
func electing(t *testing.T, pages []string, answers map[string]int) jetstream.JetStream {
	t.Helper()
	nc := connect(t, &server.Options{DontListen: true, NoSigs: true, NoLog: true})
	var asked atomic.Int32
	listen := func(subject string, take nats.MsgHandler) {
		if _, err := nc.Subscribe(subject, take); err != nil {
			t.Fatal(err)
		}
	}
	listen("$JS.API.STREAM.NAMES", func(m *nats.Msg) {
		if page := pages[min(int(asked.Add(1)), len(pages))-1]; page != "" {
			_ = m.Respond([]byte(page))
		}
	})
	listen("$JS.API.STREAM.LIST", func(m *nats.Msg) { // what a cluster says meanwhile
		_ = m.Respond([]byte(`{"total":2,"offset":0,"limit":256,"streams":[],"missing":["D_JOBS_w","KV_d_workers"]}`))
	})
	for name, first := range answers {
		var n int
		listen("$JS.API.STREAM.INFO."+name, func(m *nats.Msg) {
			if n++; first == 0 || n < first {
				return
			}
			subject := "d.job.w.>"
			if strings.HasPrefix(name, "KV_") {
				subject = "$KV.d_workers.>"
			}
			body, _ := json.Marshal(map[string]any{
				"config": map[string]any{"name": name, "subjects": []string{subject}, "num_replicas": 3}, "state": map[string]any{"messages": n},
			})
			_ = m.Respond(body)
		})
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

const electionNow = `{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}`

func page(total, offset int, names ...string) string {
	list, _ := json.Marshal(names)
	return fmt.Sprintf(`{"total":%d,"offset":%d,"limit":1024,"streams":%s}`, total, offset, list)
}

func TestStreams_AreAllThereThoughTheyAreElected(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pages   []string
		answers map[string]int
	}{
		"no answer of the streams": {[]string{page(2, 0, "D_JOBS_w", "KV_d_workers")}, map[string]int{"D_JOBS_w": 2, "KV_d_workers": 1}},
		"no leader of all":         {[]string{electionNow, "", page(2, 0, "D_JOBS_w", "KV_d_workers")}, map[string]int{"D_JOBS_w": 1, "KV_d_workers": 1}},
		"pages":                    {[]string{page(2, 0, "D_JOBS_w"), page(2, 1, "KV_d_workers")}, map[string]int{"D_JOBS_w": 1, "KV_d_workers": 1}},
		"one twice":                {[]string{page(2, 0, "D_JOBS_w", "D_JOBS_w"), page(2, 0, "D_JOBS_w", "KV_d_workers")}, map[string]int{"D_JOBS_w": 1, "KV_d_workers": 1}},
		"one came between pages":   {[]string{page(1, 0), page(2, 0, "D_JOBS_w", "KV_d_workers")}, map[string]int{"D_JOBS_w": 1, "KV_d_workers": 1}},
		"others do not matter":     {[]string{page(4, 0, "D_JOBS_w", "D_TRACES", "KV_d_agents", "KV_d_workers")}, map[string]int{"D_JOBS_w": 1, "KV_d_workers": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			held, err := snapshot.Streams(t.Context(), electing(t, c.pages, c.answers), "d")
			if err != nil || len(held) != 2 || held[0].Name != "D_JOBS_w" || held[1].Name != "KV_d_workers" || held[1].Replicas != 3 {
				t.Errorf("got %+v, %v", held, err)
			}
		})
	}
}

func TestStreams_OneThatDoesNotAnswerIsNamed(t *testing.T) {
	t.Parallel()
	js := electing(t, []string{page(2, 0, "D_JOBS_w", "KV_d_workers")}, map[string]int{"D_JOBS_w": 0, "KV_d_workers": 1})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	held, err := snapshot.Streams(ctx, js, "d")
	if err == nil || !strings.Contains(err.Error(), "stream D_JOBS_w does not answer") {
		t.Errorf("got %+v, %v", held, err)
	}
}

// Those of the jobs come back, whether or not a route leads to them, and no one's who read along.
func TestBackup_MakesConsumersAnew(t *testing.T) {
	t.Parallel()
	js := start(t)
	fill(t, js, []byte("message"))
	if err := bucket.EnsureJobs(t.Context(), js, "a", "keyed", bucket.Limits{}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "a.job.keyed.x.src.3", []byte("message")); err != nil {
		t.Fatal(err)
	}
	work, err := js.Consumer(t.Context(), "A_JOBS_w", bucket.JobsConsumer)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := work.Fetch(5) // in the hand of an instance
	if err != nil {
		t.Fatal(err)
	}
	for range taken.Messages() {
	}
	if _, err := js.CreateConsumer(t.Context(), "KV_a_workers", jetstream.ConsumerConfig{AckPolicy: jetstream.AckNonePolicy}); err != nil {
		t.Fatal(err)
	}
	_, file := backup(t, js, "a")
	other := start(t)
	if _, err := restore(t, other, "a", file); err != nil {
		t.Fatal(err)
	}
	for stream, want := range map[string]int{"A_JOBS_w": 1, "A_JOBS_keyed": 1 + bucket.Partitions, "KV_a_workers": 0} {
		s, err := other.Stream(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		if n := s.CachedInfo().State.Consumers; n != want {
			t.Errorf("%s has %d consumers, not %d", stream, n, want)
		}
	}
	for consumer, want := range map[string]uint64{"A_JOBS_w " + bucket.JobsConsumer: 20, "A_JOBS_keyed " + bucket.KeyConsumer(3): 1} {
		stream, name, _ := strings.Cut(consumer, " ")
		c, err := other.Consumer(t.Context(), stream, name)
		if err != nil {
			t.Fatal(err)
		}
		if info := c.CachedInfo(); info.NumPending != want || info.NumAckPending != 0 {
			t.Errorf("%s has %d to hand out, and %d in hand", consumer, info.NumPending, info.NumAckPending)
		}
	}
}

// A backup of three copies goes to a broker alone; what cannot be made is known before anything is touched.
func TestTarget_HasAsManyCopiesAsCanBe(t *testing.T) {
	t.Parallel()
	js := start(t)
	fill(t, js, []byte("message"))
	_, file := backup(t, js, "a")
	file = repack(t, file, func(m *snapshot.Manifest, _ map[string][]byte) {
		for i := range m.Streams {
			m.Streams[i].Config = []byte(strings.Replace(string(m.Streams[i].Config), `"num_replicas":1`, `"num_replicas":3`, 1))
		}
	})
	other := start(t)
	if _, err := restore(t, other, "a", file); err != nil {
		t.Fatal(err)
	}
	if n := stored(t, other, "A_JOBS_w"); n != 20 {
		t.Errorf("%d messages are there", n)
	}
	if s, err := other.Stream(t.Context(), "A_RESTORING"); err == nil {
		t.Errorf("left behind: %+v", s.CachedInfo())
	}
}
