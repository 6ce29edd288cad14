package cluster

import (
	"context"
	"testing"
	"time"

	"github.com/damrey/damrey"
	"github.com/rs/zerolog"
)

// A message that is stored and that the broker counts as done is handed out all the same, since the broker may have lost
// sight of it in an election. Here its consumer is told to pass over it.
func TestCluster_HandsOutWhatItsBrokerHasForgotten(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	s.start()
	s.put(s.nodes[0], source)
	s.put(s.nodes[0], damrey.Registration{Name: "sink"})
	src := damrey.New(damrey.Config{Name: "source"}, zerolog.Nop(), damrey.WithConnect(damrey.ConnectConfig{URL: s.natsURLs()}))
	stored := sent{t: t, w: serve(t, src)}
	stored.sendUntilStored()
	stored.sendUntilStored()
	js := s.jetStream()
	// A server removes by itself what a consumer has passed over, 5 to 15 s after it has begun with a stream and every two
	// minutes; between the two is what is to be seen here.
	time.Sleep(16 * time.Second)
	eventually(t, "the consumer passes over the first, which lies behind the mark of its id", func() bool {
		_, err := js.ResetConsumerToSequence(t.Context(), jobsStream, "work", 3)
		return err == nil
	})
	s.put(s.nodes[0], damrey.Registration{Name: "sink", MPU: 7}) // has the keeper look

	came := make(chan string, 10)
	sink := damrey.New(damrey.Config{Name: "sink"}, zerolog.Nop(), damrey.WithConnect(damrey.ConnectConfig{URL: s.natsURLs()}))
	sink.Handle("job", damrey.HandlerFunc(func(_ context.Context, in damrey.Msg) (damrey.Msg, error) { came <- in.Arg(0); return nil, nil }))
	serve(t, sink)
	took := make(map[string]bool)
	for end := time.After(patience); !took["0"]; {
		select {
		case arg := <-came:
			took[arg] = true
		case <-end:
			t.Fatalf("it was not handed out; others: %v; %d are stored\n%s", took, countJobs(t, js), s.nodes[0].out.String())
		}
	}
	if !took["1"] {
		t.Error("it came before the one that was not forgotten")
	}
	eventually(t, "nothing is stored any more", func() bool { return countJobs(t, js) == 0 })
}
