package broker_test

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey/broker"
)

// storeAndKill stores count messages one after another and kills the broker the moment the last is acknowledged: what
// waits in its memory has no time to get to the file. A burst would not show that, since acknowledgements lag behind.
func storeAndKill(t *testing.T, url string, count int, kill func()) {
	t.Helper()
	nc, err := nats.Connect(url, nats.NoReconnect())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js := jetStream(t, nc)
	ctx := testContext(t)
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "JOBS", Subjects: []string{"job.>"}, Retention: jetstream.WorkQueuePolicy})
	if err != nil {
		t.Fatal(err)
	}
	for i := range count {
		if _, err := js.Publish(ctx, "job.a", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	kill()
}

// nats-server writes a message to its file before it acknowledges it, whatever the Sync: what a process wrote stays with
// the system when the process is killed.
func TestBroker_KeepsWhatItAcknowledgedWhenKilled(t *testing.T) {
	t.Parallel()
	const count = 2000
	dir := t.TempDir()
	_, url, kill := holdElsewhere(t, dir)
	storeAndKill(t, url, count, kill)

	ctx := testContext(t)
	stream, err := jetStream(t, connect(t, startBroker(t, broker.Config{Dir: dir}))).Stream(ctx, "JOBS")
	if err != nil {
		t.Fatal(err)
	}
	if there := stream.CachedInfo().State.Msgs; there != count {
		t.Fatalf("%d acknowledged, %d there", count, there)
	}
	for i := range count {
		if m, err := stream.GetMsg(ctx, uint64(i+1)); err != nil || string(m.Data) != fmt.Sprint(i) {
			t.Fatalf("message %d: %v, %v", i, m, err)
		}
	}
}
