package broker_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A copy of a consumer becomes what its log says, whatever it was when its server ended; a consumer that has no copies stays
// what it was.
func TestBroker_CopiesOfConsumersBeginAfresh(t *testing.T) {
	t.Parallel()
	nodes := threeNodes(t)
	for _, n := range nodes {
		n.start()
	}
	js := nodes[1].js()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	stream := threeCopies(ctx, t, js, jetstream.LimitsPolicy)
	for i := range 5 {
		if _, err := js.Publish(ctx, "s.x", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	const copied, single = "copied", "single"
	for name, replicas := range map[string]int{copied: 0, single: 1} {
		c, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: name, Replicas: replicas, AckWait: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		batch, err := c.Fetch(3)
		if err != nil {
			t.Fatal(err)
		}
		first := true
		for m := range batch.Messages() {
			if first {
				if err := m.DoubleAck(ctx); err != nil {
					t.Fatal(err)
				}
			}
			first = false
		}
		if first || batch.Error() != nil {
			t.Fatal("nothing came: ", batch.Error())
		}
	}
	awaitCurrent(ctx, t, stream)
	for _, n := range nodes {
		n.stop()
	}
	notes := 0
	for _, n := range nodes {
		note := filepath.Join(filepath.Dir(n.blocks()), "obs", copied, "o.dat")
		if _, err := os.Stat(note); err != nil {
			continue // its copy was not written yet
		}
		notes++
		if err := os.WriteFile(note, []byte("what it never was"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if notes == 0 {
		t.Fatal("no server keeps its copies of consumers where it did")
	}
	for _, n := range nodes {
		n.start()
	}
	js = nodes[1].js()
	for _, name := range []string{copied, single} {
		eventually(t, name+" is what it was", func() bool {
			c, err := js.Consumer(ctx, "S", name)
			if err != nil {
				return false
			}
			info := c.CachedInfo()
			return info.NumAckPending == 2 && info.Delivered.Stream == 3 && info.AckFloor.Stream == 1 && info.NumPending == 2
		})
	}
}
