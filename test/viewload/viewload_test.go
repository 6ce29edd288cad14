//go:build unix

package viewload

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/broker"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/report"
)

// full measures for a minute and holds the figures against the limits; a short run only sees that all of it works.
var full = flag.Bool("viewload.full", false, "measure for a minute, and fail beyond 10 % of a core, 200 MB or 50 ms")

const (
	workers   = 100
	instances = 10 // of each worker
	routes    = 20 // that begin at each worker, and that end there
	perBeat   = 100
)

func TestViewLoad_ThousandInstancesAndTwoThousandRoutes(t *testing.T) {
	url := startBroker(t)
	p := startProxy(t, url)
	first := p.usage()
	client, err := api.New(first.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	register(t, client)
	go beat(t.Context(), t, url)
	await(t, client)
	go read(t.Context(), first.URL+"/v1/live")

	length := 3 * time.Second
	if *full {
		length = time.Minute
	}
	before, began := p.usageNow(), time.Now()
	answers := measure(t, first.URL, length)
	after, took := p.usageNow(), time.Since(began)

	slices.Sort(answers)
	core := 100 * float64(after.CPU-before.CPU) / float64(took)
	median, slowest := answers[len(answers)/2], answers[len(answers)-1]
	t.Logf("%d instances, %d routes: %.1f %% of a core, at most %.0f MB resident; /v1/network answers in %v, at most %v",
		workers*instances, workers*routes, core, float64(after.Peak)/1e6, median.Round(100*time.Microsecond), slowest.Round(100*time.Microsecond))
	if *full && (core > 10 || after.Peak > 200e6 || median > 50*time.Millisecond) {
		t.Error("more than 10 % of a core, 200 MB or 50 ms")
	}
}

func startBroker(t *testing.T) string {
	t.Helper()
	b, err := broker.New(broker.Config{Port: -1, LeafPort: -1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-b.Ready():
	case <-time.After(30 * time.Second):
		t.Fatal("the broker is not ready")
	}
	return b.ClientURL()
}

func worker(n int) string { return fmt.Sprintf("worker-%d", n%workers) }
func typeOf(i int) string { return fmt.Sprintf("type-%d", i) }
func target(n, i int) int { return n + i + 1 }
func sender(n, i int) int { return n - i - 1 + workers }

func register(t *testing.T, client *api.Client) {
	t.Helper()
	for n := range workers {
		reg := damrey.Registration{Name: worker(n)}
		for i := range routes {
			reg.Commands = append(reg.Commands, damrey.Command{Name: typeOf(i), Worker: worker(target(n, i))})
		}
		if _, err := client.Put(t.Context(), reg, ""); err != nil {
			t.Fatal(err)
		}
	}
}

// simulated is an instance of which there are only the beats.
type simulated struct {
	report.Beat
	stay []report.Live
}

func newSimulated(n, i int) *simulated {
	s := &simulated{stay: make([]report.Live, routes), Beat: report.Beat{
		Worker: worker(n), Instance: fmt.Sprintf("instance-%d-%d", n, i), Version: "1.2.3", Host: fmt.Sprintf("machine-%d", i),
		Agent: fmt.Sprintf("10.1.2.%d:4222", i), Program: "example.com/worker", PID: 1000 + i, Started: time.Now(),
		State: report.Ready, Capacity: 100, Counts: make(map[string]uint64),
	}}
	for i := range routes {
		s.In = append(s.In, report.In{From: worker(sender(n, i)), Type: typeOf(i)})
		s.Out = append(s.Out, report.Out{Type: typeOf(i), To: worker(target(n, i))})
	}
	return s
}

// work counts what came in the time of one beat.
func (s *simulated) work() {
	for i := range s.In {
		in := &s.In[i]
		in.Handled += perBeat
		in.Errors++
		for range perBeat {
			stay := time.Duration(float64(time.Millisecond) * (0.2 + rand.ExpFloat64()))
			s.stay[i].Add(stay)
			in.Work += uint64(stay)
		}
		in.Stay = s.stay[i].Snapshot()
		s.Out[i].Sent += perBeat
	}
	for i := range 25 {
		s.Counts[fmt.Sprintf("counter_%d", i)] += perBeat
	}
	s.At = time.Now()
}

// beat sends the beats of all, evenly over the time between two of one.
func beat(ctx context.Context, t *testing.T, url string) {
	nc, err := nats.Connect(url)
	if err != nil {
		t.Error(err)
		return
	}
	defer nc.Close()
	var all []*simulated
	for n := range workers {
		for i := range instances {
			all = append(all, newSimulated(n, i))
		}
	}
	ticker := time.NewTicker(report.Every / time.Duration(len(all)))
	defer ticker.Stop()
	for n := 0; ; n++ {
		s := all[n%len(all)]
		s.work()
		data, err := json.Marshal(s.Beat)
		if err == nil {
			err = nc.Publish(report.Subject(damrey.DefaultPrefix, s.Worker, s.Instance), data)
		}
		if err != nil {
			if ctx.Err() == nil {
				t.Error(err)
			}
			return
		}
		if n < len(all) {
			continue // all are there at once
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// await waits until the proxy sees all of it.
func await(t *testing.T, client *api.Client) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		n, err := client.Network(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ready, observed := 0, 0
		for _, node := range n.Nodes {
			ready += node.Ready
		}
		for _, e := range n.Edges {
			if e.Observed && e.Declared && e.Rate > 0 {
				observed++
			}
		}
		if ready == workers*instances && observed == workers*routes {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the proxy sees %d instances and %d routes", ready, observed)
		}
	}
}

// read is a page that stays open.
func read(ctx context.Context, url string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body) // until the test ends
		resp.Body.Close()
	}
}

// measure asks for the network twice a second, and for the metrics every 15 s as Prometheus does.
func measure(t *testing.T, url string, length time.Duration) (answers []time.Duration) {
	t.Helper()
	get := func(path string) time.Duration {
		began := time.Now()
		resp, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status, err)
		}
		return time.Since(began)
	}
	for n, end := 0, time.Now().Add(length); time.Now().Before(end); n++ {
		answers = append(answers, get("/v1/network"))
		if n%30 == 0 {
			get("/metrics")
		}
		time.Sleep(500 * time.Millisecond)
	}
	return answers
}
