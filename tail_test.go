package damrey

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTail_RoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := tail{
			kind:   rapid.SampledFrom([]byte{kindRequest, kindSend}).Draw(t, "kind"),
			call:   rapid.Uint64().Draw(t, "call"),
			budget: time.Duration(rapid.Int64Range(1, maxBudget.Milliseconds()).Draw(t, "ms")) * time.Millisecond,
			hops:   rapid.IntRange(0, maxHops+1).Draw(t, "hops"),
			cost:   rapid.IntRange(0, maxMPU).Draw(t, "cost"),
			rest:   rapid.SampledFrom([]string{"", "_INBOX.x.y", "_INBOX.a.~q5.100.0.1"}).Draw(t, "rest"),
		}
		reply := string(want.appendTo(nil, "_INBOX.abc"))
		got, ok := parseReply(reply)
		if !ok || got != want {
			t.Fatalf("%s gave %+v, want %+v", reply, got, want)
		}
		answer := got.answerTo(reply)
		switch {
		case want.kind == kindSend && answer != "", want.kind == kindRequest && want.rest != "" && answer != want.rest,
			want.kind == kindRequest && want.rest == "" && answer != reply:
			t.Fatalf("the answer to %s goes to %q", reply, answer)
		}
	})
}

func FuzzParseReply(f *testing.F) {
	for _, s := range []string{
		"_INBOX.a.~q1.100.0.1", "_INBOX.a.~s1.100.0.1", "_INBOX.a.b", "", ".~", "x.~q", "x.~q1.2.3", "x.~q1.2.3.4.",
		"x.~z1.2.3.4", "x.~q-1.2.3.4", "x.~q1.99999999999999999999.3.4", "x.~q1.2.70000.4.y.~q2.1.1.1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, reply string) {
		got, ok := parseReply(reply)
		if !ok {
			if got != (tail{}) {
				t.Fatalf("%q was refused and gave %+v", reply, got)
			}
			return
		}
		if got.budget > maxBudget || got.hops < 0 || got.cost < 0 || !strings.HasSuffix(reply, got.rest) {
			t.Fatalf("%q gave %+v", reply, got)
		}
	})
}

func TestCodes_CrossTheWire(t *testing.T) {
	t.Parallel()
	for _, c := range codes {
		sent := (&fabricError{c.err, "text", "a→b→c"}).message("b")
		got := replyError(sent)
		if got.Code != c.code || got.Text != "text" || got.Where != "a→b→c" || !errors.Is(got, c.err) {
			t.Errorf("%s came back as %+v", c.code, got)
		}
		for _, other := range codes {
			if other.code != c.code && errors.Is(got, other.err) {
				t.Errorf("%s is also %s", c.code, other.code)
			}
		}
	}
}

func TestBackoff_GrowsAndSpreads(t *testing.T) {
	t.Parallel()
	for n, base := range map[int]time.Duration{1: 25, 2: 100, 3: 400, 4: 1000, 50: 1000} {
		base *= time.Millisecond
		seen := map[time.Duration]bool{}
		for range 100 {
			d := backoff(n)
			if d < base/2 || d > base*3/2 {
				t.Fatalf("attempt %d waits %v, base %v", n, d, base)
			}
			seen[d] = true
		}
		if len(seen) < 50 {
			t.Errorf("attempt %d has only %d different waits", n, len(seen))
		}
	}
}
