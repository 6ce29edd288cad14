package report

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// outlet keeps what a sender publishes, and when.
type outlet struct {
	mu    sync.Mutex // guards all
	beats []*Beat
	at    []time.Time
}

// seen is what came so far, and when.
func (o *outlet) seen() ([]*Beat, []time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.beats), slices.Clone(o.at)
}

func (o *outlet) take(t *testing.T) func(string, []byte) error {
	return func(subject string, data []byte) error {
		b := new(Beat)
		if err := json.Unmarshal(data, b); err != nil || subject != "damrey.beat.w.i" {
			t.Errorf("on %s: %v", subject, err)
			return err
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		o.beats, o.at = append(o.beats, b), append(o.at, time.Now())
		return nil
	}
}

func TestSender_SendsEveryFiveSecondsAndAtOnceOnChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var o outlet
		s := NewSender("damrey", func() Beat { return Beat{Worker: "w", Instance: "i", State: Ready} }, o.take(t))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { s.Run(ctx); close(ended) }()
		time.Sleep(100 * time.Second)
		beats, when := o.seen()
		if n := len(beats); n < 17 || n > 26 {
			t.Errorf("%d beats in 100 s", n)
		}
		for i, at := range when[1:] {
			if gap := at.Sub(when[i]); gap < 4*time.Second || gap > 6*time.Second+atLeast {
				t.Errorf("beat %d comes after %v", i+1, gap)
			}
		}
		before := len(beats)
		s.Changed()
		time.Sleep(atLeast)
		if beats, _ = o.seen(); len(beats) != before+1 {
			t.Errorf("a change is not told at once")
		}
		for range 1000 {
			s.Changed()
			time.Sleep(time.Millisecond)
		}
		beats, _ = o.seen()
		if n := len(beats) - before; n > 13 {
			t.Errorf("%d beats in a second of changes", n)
		}
		cancel()
		<-ended
		if last := o.beats[len(o.beats)-1]; last.State != Left || last.At.IsZero() {
			t.Errorf("the last one is %+v", last)
		}
	})
}

func TestSender_TellsLessApartWhenABeatIsTooLarge(t *testing.T) {
	t.Parallel()
	var o outlet
	many := Beat{Worker: "w", Instance: "i", State: Ready}
	var total uint64
	for i := range MaxRoutes {
		stay := make(Histogram, Buckets)
		for bucket := range stay {
			stay[bucket] = Count{bucket, 1 << 40}
			total += 1 << 40
		}
		many.In = append(many.In, In{From: "f", Type: fmt.Sprint(i), Handled: 1, LastError: strings.Repeat("x", 200), Stay: stay})
		many.Out = append(many.Out, Out{Type: fmt.Sprint(i), To: "t", Sent: 1})
	}
	before := many
	before.In = slices.Clone(many.In)
	s := NewSender("damrey", func() Beat { return many }, o.take(t))
	s.send(many)
	few := many
	few.In = many.In[:100]
	s.send(few)
	if len(o.beats) != 2 {
		t.Fatalf("%d beats", len(o.beats))
	}
	for i, want := range []uint64{MaxRoutes, 100} {
		b := o.beats[i]
		if b.In[0].Type != "0" || b.In[len(b.In)-1].Type != Other || len(b.In) != len(o.beats[0].In) {
			t.Errorf("beat %d tells %d routes, the last one %q", i, len(b.In), b.In[len(b.In)-1].Type)
		}
		var handled, stay uint64
		for _, in := range b.In {
			handled += in.Handled
			stay += in.Stay.Total()
		}
		if handled != want || stay != total*want/MaxRoutes {
			t.Errorf("beat %d: %d handled, %d in histograms", i, handled, stay)
		}
	}
	for i := range before.In {
		if many.In[i].Type != before.In[i].Type || many.In[i].Handled != 1 {
			t.Fatalf("what was given is changed: %+v", many.In[i])
		}
	}
}
