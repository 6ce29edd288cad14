package bench

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/report"
)

// The rows trace lines from end to end, no more than an instance does in a second.
func TestTraced_TracesTheShareThatItSays(t *testing.T) {
	t.Parallel()
	const n = 20_000
	for name, work := range map[string]func(*site, *damrey.Instance, *arrivals) measure{"send": tracedSends, "request": tracedRequests} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := newSite(0)
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			_, traced, err := openTraced(1, work)(s)
			if err != nil {
				t.Fatal(err)
			}
			nc, err := s.connect(s.broker.ClientURL())
			if err != nil {
				t.Fatal(err)
			}
			var lines [2]atomic.Int64 // begun, handled
			_, err = nc.Subscribe(report.TraceSubject(damrey.DefaultPrefix, "*"), func(m *nats.Msg) {
				span, err := report.ParseSpan(m.Data)
				switch {
				case err != nil || span.Kept != report.Sampled:
					t.Errorf("%s: %v", m.Data, err)
				case span.Kind == report.KindSend:
					lines[0].Add(1)
				case span.Kind == report.KindHandle:
					lines[1].Add(1)
				}
			})
			if err == nil {
				err = nc.Flush()
			}
			began := time.Now()
			if err == nil {
				_, err = traced(n)
			}
			if err != nil {
				t.Fatal(err)
			}
			most := int64(50 * (2 + time.Since(began)/time.Second))
			all := func() bool { return lines[0].Load() > 10 && lines[1].Load() == lines[0].Load() }
			for end := time.Now().Add(patience); !all() && time.Now().Before(end); {
				time.Sleep(time.Millisecond)
			}
			if begun, handled := lines[0].Load(), lines[1].Load(); !all() || begun > most {
				t.Errorf("%d of %d messages were traced, and %d of them where they were handled; at most %d are meant to be", begun, n, handled, most)
			}
		})
	}
}
