package proxyd_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/bucket"
	"github.com/damrey/damrey/internal/snapshot"
)

// What was stored, had failed, was dead or had an id of the application is handled once after it was restored elsewhere.
func TestBackup_EachMessageIsHandledOnce(t *testing.T) {
	t.Parallel()
	r := newDeadRig(t)
	command := durably("order", "w")
	command.Window = damrey.Duration(time.Hour)
	r.register("src", command)
	r.bury(message("order", "dead"))
	src, stop := r.serve("src", nil)
	const sent = 300
	for i := range sent {
		if err := src.With(damrey.WithID(fmt.Sprint("id-", i))).Send(t.Context(), "order", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	var file bytes.Buffer
	held, err := snapshot.Streams(t.Context(), r.js, "damrey")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, h := range held {
		names = append(names, h.Name)
	}
	if _, err := snapshot.Write(t.Context(), r.nc, "damrey", names, &file, func(string, int64) {}); err != nil {
		t.Fatal(err)
	}
	backup, err := snapshot.Verify(bytes.NewReader(file.Bytes()))
	if err != nil {
		t.Fatal(err)
	}

	n := newDeadRig(t) // its proxy runs, and has made what it needs
	target := snapshot.NewTarget(n.js, "damrey", nil, false)
	if err := target.Check(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	if err := target.Restore(t.Context(), backup, bytes.NewReader(file.Bytes()), func(snapshot.Restored) {}); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	handled := map[string]int{}
	n.serve("w", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		mu.Lock()
		defer mu.Unlock()
		handled[in.Arg(0)]++
		return nil, nil
	})
	if _, err := n.api.RetryDead(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	again, _ := n.serve("src", nil)
	if err := again.With(damrey.WithID("id-7")).Send(t.Context(), "order", "7"); err != nil {
		t.Fatal(err)
	}
	if err := again.With(damrey.WithID("id-7")).Send(t.Context(), "order", "other"); !errors.Is(err, damrey.ErrIDConflict) {
		t.Errorf("another message under a known id: %v", err)
	}
	eventually(t, "all are handled", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(handled) == sent+1
	})
	eventually(t, "none waits any more", func() bool {
		work, err := n.js.Consumer(t.Context(), "DAMREY_JOBS_w", bucket.JobsConsumer)
		if err != nil {
			t.Fatal(err)
		}
		info := work.CachedInfo()
		return info.NumPending == 0 && info.NumAckPending == 0 && n.stored("DAMREY_DEAD") == 0
	})
	mu.Lock()
	defer mu.Unlock()
	for what, times := range handled {
		if times != 1 {
			t.Errorf("%s was handled %d times", what, times)
		}
	}
}
