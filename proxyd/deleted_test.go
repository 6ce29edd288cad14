package proxyd_test

import (
	"strings"
	"testing"
	"time"

	"github.com/damrey/damrey/internal/api"
)

// What somebody deleted is back before a sender gives up, though nothing else changes and the keeper looks by itself only
// after 15 s or more; and what was lost with it is said.
func TestProxy_MakesAgainAtOnceWhatWasDeleted(t *testing.T) {
	t.Parallel()
	r, js, logged := newLoggedRig(t)
	stream := func(name string) func() bool {
		return func() bool { _, err := js.Stream(t.Context(), name); return err == nil }
	}
	consumer := func(name string) func() bool {
		return func() bool { _, err := js.Consumer(t.Context(), "DAMREY_JOBS_bank", name); return err == nil }
	}
	store := func(subjects ...string) {
		for _, subject := range subjects {
			if _, err := js.Publish(t.Context(), subject, []byte(`["REQUEST","pay"]`)); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.must(201, "POST", "/worker/add", `{"name":"bank"}`)
	r.must(201, "POST", "/worker/add", `{"name":"entry","commands":[{"name":"pay","worker":"bank","delivery":"durable","key":0}]}`)
	eventually(t, "the streams are there", func() bool { return consumer("key-0")() && stream("DAMREY_TRIED")() })
	store("damrey.dead.bank.pay.entry", "damrey.dead.bank.pay.entry", "damrey.tried.bank.1", "damrey.job.bank.pay.entry.3", "damrey.id.bank.x")
	eventually(t, "messages and letters are counted", func() bool {
		d := edgeOf(r.network(), "entry", "pay", "bank").Durable
		return d != nil && d.Dead == 2 && d.Stored == 1
	})

	again := func(back func() bool, deletion error, said ...string) {
		t.Helper()
		if deletion != nil {
			t.Fatal(deletion)
		}
		eventually(t, "it is said", func() bool { return logged.has(said...) })
		for end := time.Now().Add(10 * time.Second); !back(); <-time.After(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("it is not back before the keeper looks by itself: %q", said)
			}
		}
	}
	events := r.stream("/v1/events?kind=stream.deleted")
	happened := func(worker, text string) {
		t.Helper()
		if _, e := nextOf(t, events, api.EventStreamDeleted); e.Worker != worker || !strings.Contains(e.Text, text) {
			t.Errorf("the event is %+v", e)
		}
	}
	again(stream("DAMREY_JOBS_bank"), js.DeleteStream(t.Context(), "DAMREY_JOBS_bank"), "the stream of jobs was deleted by somebody", `"messages":1`)
	happened("bank", "stream DAMREY_JOBS_bank was deleted by somebody; it is made again, and the messages in it are lost, about 1 when last looked at")
	again(consumer("key-15"), nil, "durable messages are stored")
	again(stream("DAMREY_DEAD"), js.DeleteStream(t.Context(), "DAMREY_DEAD"), "the stream of dead letters was deleted by somebody", `"messages":2`)
	happened("", "the dead letters in it are lost, about 2 when last looked at")
	again(stream("DAMREY_TRIED"), js.DeleteStream(t.Context(), "DAMREY_TRIED"), "the stream of failures was deleted by somebody")
	happened("", "the notes of failures in it are lost, about 1 when last looked at")
	r.must(201, "POST", "/v1/schedules", `{"id":"a","from":"entry","type":"pay","args":["k"],"in":"1h"}`)
	r.must(201, "POST", "/worker/add", `{"name":"shop"}`)
	r.must(201, "POST", "/worker/add", `{"name":"other","commands":[{"name":"buy","worker":"shop","delivery":"durable"}]}`)
	eventually(t, "it was looked", func() bool { return logged.has("durable messages are stored", "DAMREY_JOBS_shop") })
	again(stream("DAMREY_LATER"), js.DeleteStream(t.Context(), "DAMREY_LATER"), "the stream of delayed messages and schedules was deleted by somebody", `"messages":1`)
	happened("", "the delayed messages and schedules in it are lost, about 1 when last looked at")
	// Of consumers nothing tells an old one from one that the keeper made again while it was not looking for that.
	eventually(t, "it is said", func() bool {
		_ = js.DeleteConsumer(t.Context(), "DAMREY_JOBS_bank", "work") // not there: it is being made again
		return logged.has("a consumer of the stream of jobs was deleted by somebody", `"consumers":16`)
	})
	again(consumer("work"), nil, "durable messages are stored")
	again(consumer("key-7"), js.DeleteConsumer(t.Context(), "DAMREY_JOBS_bank", "key-7"), "durable messages are stored")
}

// While somebody restores the streams nothing is made in between, except by a look that was under way, and nothing is said
// to be lost; afterwards all is kept again.
func TestProxy_LeavesStreamsAloneThatAreRestored(t *testing.T) {
	t.Parallel()
	r, js, logged := newLoggedRig(t)
	r.must(201, "POST", "/worker/add", `{"name":"bank"}`)
	r.must(201, "POST", "/worker/add", `{"name":"entry","commands":[{"name":"pay","worker":"bank","delivery":"durable"}]}`)
	isThere := func() bool { _, err := js.Stream(t.Context(), "DAMREY_JOBS_bank"); return err == nil }
	eventually(t, "the stream is there", isThere)
	restoring := time.Now()
	for deleted := 0; time.Since(restoring) < 3*time.Second; {
		if err := r.nc.Publish("damrey.event.restoring", nil); err != nil {
			t.Fatal(err)
		}
		if err := r.nc.Flush(); err != nil {
			t.Fatal(err)
		}
		if isThere() {
			if deleted++; deleted > 2 {
				t.Fatal("it was made again and again while somebody restored it")
			}
			if err := js.DeleteStream(t.Context(), "DAMREY_JOBS_bank"); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(200 * time.Millisecond)
	}
	eventually(t, "it is there again", isThere)
	if logged.has("was deleted by somebody") {
		t.Error("it is said to be lost")
	}
}
