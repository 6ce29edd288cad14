package bucket_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey/internal/bucket"
)

// A broker that is alone and ends between writing an acknowledgement down and removing the message has it for ever.
func TestRemoveDone(t *testing.T) {
	t.Parallel()
	before, after := t.TempDir(), t.TempDir()
	begin := func(dir string) (js jetstream.JetStream, end func()) {
		srv := startServerIn(t, true, dir)
		js = connect(t, srv)
		return js, func() { js.Conn().Close(); stop(srv) }
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := testContext(t)

	js, end := begin(before)
	must(bucket.EnsureJobs(ctx, js, "damrey", "w", bucket.Limits{}))
	for range 4 {
		_, err := js.Publish(ctx, "damrey.job.w.x.src", []byte(`["REQUEST","x"]`))
		must(err)
	}
	end()
	must(os.CopyFS(after, os.DirFS(before)))

	js, end = begin(before)
	consumer, err := js.Consumer(ctx, "DAMREY_JOBS_w", "work")
	must(err)
	batch, err := consumer.Fetch(4)
	must(err)
	for m := range batch.Messages() {
		if meta, err := m.Metadata(); err != nil || meta.Sequence.Stream != 3 {
			must(err)
			must(m.DoubleAck(ctx))
		}
	}
	end()
	// The messages of then, and what the consumer knows now.
	consumers := filepath.Join("jetstream", "$G", "streams", "DAMREY_JOBS_w", "obs")
	must(os.RemoveAll(filepath.Join(after, consumers)))
	must(os.CopyFS(filepath.Join(after, consumers), os.DirFS(filepath.Join(before, consumers))))

	js, _ = begin(after)
	left := func() uint64 {
		t.Helper()
		s, err := js.Stream(ctx, "DAMREY_JOBS_w")
		must(err)
		return s.CachedInfo().State.Msgs
	}
	if n := left(); n != 4 {
		t.Fatalf("%d messages, not 4: the broker removes them itself, and RemoveDone is needed no more", n)
	}
	for _, want := range []int{2, 0} {
		if n, err := bucket.RemoveDone(ctx, js, "damrey", "w"); n != want || err != nil {
			t.Errorf("removed %d, %v; want %d", n, err, want)
		}
	}
	if n := left(); n != 2 {
		t.Errorf("%d messages, not the one in hand and the one above it", n)
	}
	if n, err := bucket.RemoveDone(ctx, js, "damrey", "nobody"); n != 0 || err != nil {
		t.Errorf("without a stream: %d, %v", n, err)
	}
}

func stop(srv *server.Server) {
	srv.Shutdown()
	srv.WaitForShutdown()
}
