package bench

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/report"
)

// The rows say how much of what they send is traced.
func TestTraced_TracesTheShareThatItSays(t *testing.T) {
	t.Parallel()
	const n = 20_000
	for name, work := range map[string]func(*damrey.Instance, *arrivals, contextOf) measure{"send": tracedSends, "request": tracedRequests} {
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
			if err == nil {
				_, err = traced(n)
			}
			if err != nil {
				t.Fatal(err)
			}
			const want = int64(n * traceShare)
			enough := func() bool { return lines[0].Load() > want*2/3 && lines[1].Load() == lines[0].Load() }
			for end := time.Now().Add(patience); !enough() && time.Now().Before(end); {
				time.Sleep(time.Millisecond)
			}
			if begun, handled := lines[0].Load(), lines[1].Load(); !enough() || begun > want*4/3 {
				t.Errorf("%d of %d messages were traced, and %d of them where they were handled; %v are meant to be", begun, n, handled, want)
			}
		})
	}
}
