package damrey_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/report"
	"github.com/nats-io/nats.go"
)

// tapped is a line src → w with a tap on it.
type tapped struct {
	*fabric
	src, w *damrey.Instance
	copies *nats.Subscription
	inbox  string
}

func newTapped(t *testing.T, h damrey.HandlerFunc, opts ...damrey.Option) *tapped {
	t.Helper()
	f := newFabric(t)
	f.register("src", to("x", "w"), to("y", "w"))
	f.put(damrey.Registration{Name: "w", MPU: 1, Commands: []damrey.Command{to("on", "end")}})
	f.register("end")
	f.worker("end", echo)
	x := &tapped{fabric: f, inbox: f.nc.NewInbox()}
	x.w = f.worker("w", h, opts...)
	x.src = f.serve(f.instance(damrey.Config{Name: "src"}))
	var err error
	x.copies, err = f.nc.SubscribeSync(x.inbox)
	must(t, err)
	return x
}

// tap asks for copies; what its instances have read after it is no proof that they have taken it.
func (x *tapped) tap(l report.Lease) {
	x.t.Helper()
	data, err := json.Marshal(l)
	must(x.t, err)
	must(x.t, x.nc.Publish(report.TapSubject("damrey"), data))
	_, err = x.nc.Request("$SRV.PING.w", nil, patience)
	must(x.t, err)
}

// request asks and leaves the answer be: copies are what counts.
func (x *tapped) request(typ string, args ...string) { _, _ = x.src.Request(x.context(), typ, args...) }

func (x *tapped) next() report.Copy {
	x.t.Helper()
	m, err := x.copies.NextMsg(patience)
	must(x.t, err)
	var c report.Copy
	must(x.t, json.Unmarshal(m.Data, &c))
	return c
}

// all are the copies of what was tapped so far: a message that is tapped by
// everybody comes last.
func (x *tapped) all() (copies []report.Copy) {
	x.t.Helper()
	x.tap(report.Lease{ID: "end of the test", Type: "y", Rate: 1000, Inbox: x.inbox})
	eventually(x.t, "the last copy comes", func() bool {
		x.request("y")
		for {
			m, err := x.copies.NextMsg(10 * time.Millisecond)
			if err != nil {
				return false
			}
			var c report.Copy
			must(x.t, json.Unmarshal(m.Data, &c))
			if c.Type == "y" {
				return true
			}
			copies = append(copies, c)
		}
	})
	return copies
}

func TestTap_TellsWhatBecameOfAMessage(t *testing.T) {
	t.Parallel()
	x := newTapped(t, func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		what := in.Arg(0)
		for i := range in {
			in[i] = "changed"
		}
		switch what {
		case "fail":
			return damrey.Fail("not today"), nil
		case "on":
			return damrey.NewRequest("on", "3"), nil
		}
		return damrey.Reply("ok"), nil
	})
	lease := report.Lease{ID: "1", From: "src", Type: "x", To: "w", Rate: 100, Args: true, Inbox: x.inbox}
	x.tap(lease)
	for _, c := range []struct{ arg, outcome, err string }{{"good", "response", ""}, {"fail", "error", "not today"}, {"on", "forward", ""}} {
		eventually(t, "a copy comes", func() bool {
			x.request("x", c.arg, "\xff"+strings.Repeat("ä", 2000))
			m, err := x.copies.NextMsg(100 * time.Millisecond)
			if err != nil {
				return false
			}
			var got report.Copy
			must(t, json.Unmarshal(m.Data, &got))
			if got.From != "src" || got.Type != "x" || got.To != "w" || got.Instance != x.w.ID() || got.Hop != 0 ||
				got.Outcome != c.outcome || got.Error != c.err || got.At.IsZero() || got.Wait < 0 || got.Work <= 0 {
				t.Errorf("%s: %s", c.arg, m.Data)
			}
			if len(got.Args) != 2 || got.Args[0] != c.arg || utf8.RuneCountInString(got.Args[1]) != 1001 || !strings.HasPrefix(got.Args[1], "\uFFFDä") {
				t.Errorf("%s: arguments are %.100q", c.arg, got.Args)
			}
			return true
		})
	}
	must(t, x.src.Send(t.Context(), "x", "good"))
	if got := x.next(); got.Outcome != "none" {
		t.Errorf("of a send: %+v", got)
	}
	lease.Args = false
	x.tap(lease)
	eventually(t, "no arguments are told", func() bool { x.request("x", "secret"); return x.next().Args == nil })
}

// Copies come from where a message is handled, so it is the target that must be an instance, not the sender.
func TestTap_SeesWhatGoesToAnInstanceWhoeverSentIt(t *testing.T) {
	t.Parallel()
	x := newTapped(t, echo)
	x.bridge()
	x.register("outside", to("plain", "plain"), to("x", "w"))
	x.register("plain")
	_, err := x.nc.QueueSubscribe("damrey.msg.plain.*.*", "plain", func(m *nats.Msg) {
		if err := m.Respond([]byte("ok")); err != nil {
			t.Error(err)
		}
	})
	must(t, err)
	x.tap(report.Lease{ID: "1", From: "outside", Rate: 1000, Inbox: x.inbox})
	eventually(t, "the table and the plain worker are there", func() bool { return x.ask("damrey.out.outside.plain", "1") == "ok" })
	eventually(t, "a copy comes", func() bool {
		x.ask("damrey.out.outside.x", "1")
		m, err := x.copies.NextMsg(100 * time.Millisecond)
		if err != nil {
			return false
		}
		var got report.Copy
		must(t, json.Unmarshal(m.Data, &got))
		if got.From != "outside" || got.Type != "x" || got.Instance != x.w.ID() {
			t.Errorf("%s", m.Data)
		}
		return true
	})
}

func TestTap_OnlyWhatMatches(t *testing.T) {
	t.Parallel()
	x := newTapped(t, echo)
	for i, l := range []report.Lease{{From: "other"}, {Type: "z"}, {To: "src"}, {From: "src", Type: "x", To: "other"}} {
		l.ID, l.Rate, l.Inbox = fmt.Sprint(i), 100, x.inbox
		x.tap(l)
	}
	for range 20 {
		x.request("x")
	}
	if got := x.all(); len(got) != 0 {
		t.Errorf("copies that nobody asked for: %+v", got)
	}
}

func TestTap_KeepsToTheRateAndSaysSo(t *testing.T) {
	t.Parallel()
	x := newTapped(t, echo)
	x.tap(report.Lease{ID: "1", Type: "x", Rate: 5, Inbox: x.inbox})
	const n = 500
	began := time.Now()
	for range n {
		x.request("x")
	}
	seconds := int(time.Since(began)/time.Second) + 2
	copies := x.all()
	var told uint64
	for _, c := range copies {
		told += 1 + c.Skipped
	}
	if len(copies) == 0 || len(copies) > 5*seconds || told > n {
		t.Errorf("%d copies in %d seconds, which tell of %d", len(copies), seconds, told)
	}
	// The first one of another second tells of those that were left out.
	eventually(t, "what was left out is told", func() bool {
		x.request("x")
		for {
			m, err := x.copies.NextMsg(10 * time.Millisecond)
			if err != nil {
				return false
			}
			var c report.Copy
			must(t, json.Unmarshal(m.Data, &c))
			if c.Skipped > 0 {
				return true
			}
		}
	})
}

func TestTap_Samples(t *testing.T) {
	t.Parallel()
	x := newTapped(t, echo)
	x.tap(report.Lease{ID: "1", Type: "x", Rate: 1000, Sample: 0.1, Inbox: x.inbox})
	const n = 600
	for range n {
		x.request("x")
	}
	// 60 are to be expected, give or take 7.
	if got := len(x.all()); got < 10 || got > 150 {
		t.Errorf("%d of %d are a sample of 10 %%", got, n)
	}
}

func TestTap_TellsOfBusyAndTooLate(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	x := newTapped(t, func(context.Context, damrey.Msg) (damrey.Msg, error) { <-release; return nil, nil }, damrey.WithQueue(1))
	x.tap(report.Lease{ID: "1", Type: "x", Rate: 100, Inbox: x.inbox})
	eventually(t, "the tap holds and the queue is full", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		for range 3 {
			go func() { _, _ = x.src.Request(ctx, "x") }()
		}
		<-ctx.Done()
		m, err := x.copies.NextMsg(time.Millisecond)
		if err != nil {
			return false
		}
		var c report.Copy
		must(t, json.Unmarshal(m.Data, &c))
		return c.Outcome == "busy"
	})
	close(release)
	eventually(t, "one is too late", func() bool { return x.next().Outcome == "timeout" })
}

// What a lease says goes nowhere but to an inbox.
func TestTap_RefusesWhatIsNoLease(t *testing.T) {
	t.Parallel()
	x := newTapped(t, echo)
	bad, err := x.nc.SubscribeSync("mine.>")
	must(t, err)
	for _, doc := range []string{
		`{`, `[]`, `{"id":"a","rate":5,"inbox":"mine.box"}`, `{"id":"b","rate":5,"inbox":"$KV.damrey_workers.w"}`,
		`{"id":"c","rate":5,"inbox":"_INBOX.a\r\nPUB mine.box 2\r\nhi\r\nPUB _INBOX.b"}`,
		`{"id":"d","rate":5,"inbox":"_INBOX.>"}`, `{"id":"e","rate":5,"inbox":"_INBOX..x"}`, `{"id":"f","rate":5}`,
		`{"id":"g","rate":5,"sample":-1,"inbox":"_INBOX.x"}`, `{"rate":5,"inbox":"_INBOX.x"}`,
		`{"id":"` + strings.Repeat("x", 5000) + `","inbox":"_INBOX.x"}`,
	} {
		must(t, x.nc.Publish(report.TapSubject("damrey"), []byte(doc)))
	}
	eventually(t, "all are refused", func() bool { s := x.w.Stats(); return s.Malformed == 9 && s.Refused == 2 })
	x.request("x")
	must(t, x.nc.Flush())
	if m, err := bad.NextMsg(50 * time.Millisecond); err == nil {
		t.Errorf("came: %s on %s", m.Data, m.Subject)
	}
	if got := x.all(); len(got) != 0 {
		t.Errorf("copies: %+v", got)
	}
}

func TestTap_EndsWithItsInstance(t *testing.T) {
	t.Parallel()
	x := newTapped(t, echo)
	for i := range 40 {
		x.tap(report.Lease{ID: fmt.Sprint(i), Type: "x", Rate: 1000, Inbox: x.inbox})
	}
	eventually(t, "as many leases as may be hold", func() bool {
		x.request("x")
		time.Sleep(10 * time.Millisecond)
		n, _, err := x.copies.Pending()
		must(t, err)
		return n >= 16
	})
	x.w.Stop()
}
