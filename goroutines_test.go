package damrey_test

import (
	"runtime"
	"testing"

	"github.com/damrey/damrey"
	"github.com/nats-io/nats.go"
)

// Not parallel: it counts the goroutines of the process.
func TestWorker_RequestsInFlightCostNoGoroutine(t *testing.T) {
	f := newFabric(t)
	f.register("src", to("x", "silent"))
	asked := make(chan *nats.Msg, 20000)
	_, err := f.nc.ChanQueueSubscribe("damrey.msg.silent.*.*", "silent", asked)
	must(t, err)
	must(t, f.nc.Flush())
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	send := src.SendChannel()
	before := runtime.NumGoroutine()
	const n = 10000
	answers := make(chan []string, n)
	for range n {
		send <- &damrey.Message{Timeout: patience, Rch: answers, Msg: []string{damrey.REQUEST, "x"}}
	}
	var messages []*nats.Msg
	for range n {
		messages = append(messages, await(t, "all are asked", asked))
	}
	if more := runtime.NumGoroutine() - before; more > 100 {
		t.Errorf("%d requests in flight cost %d goroutines", n, more)
	}
	for _, m := range messages {
		must(t, m.Respond([]byte("ok")))
	}
	for range n {
		await(t, "answers", answers)
	}
	close(send)
}
