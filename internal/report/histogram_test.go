package report

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestBucket_EdgesMeet(t *testing.T) {
	t.Parallel()
	for i := range Buckets - 1 {
		if got := Bucket(floor(i)); got != i {
			t.Fatalf("the least of bucket %d falls into %d", i, got)
		}
		if got := Bucket(Bound(i) - 1); got != i {
			t.Fatalf("the most of bucket %d falls into %d", i, got)
		}
	}
	for d, want := range map[time.Duration]int{-1: 0, 0: 0, 1000 * time.Hour: Buckets - 1} {
		if got := Bucket(d); got != want {
			t.Errorf("%v falls into %d, not %d", d, got, want)
		}
	}
}

func TestHistogram_AddsUpExactly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.SliceOf(rapid.Int64Range(0, int64(2*time.Hour)))
		var both, one, two Live
		for _, d := range times.Draw(t, "one") {
			one.Add(time.Duration(d))
			both.Add(time.Duration(d))
		}
		for _, d := range times.Draw(t, "two") {
			two.Add(time.Duration(d))
			both.Add(time.Duration(d))
		}
		a, b, sum := one.Snapshot(), two.Snapshot(), both.Snapshot()
		if got := a.Plus(b); !slices.Equal(got, sum) {
			t.Fatalf("%v and %v are %v, not %v", a, b, got, sum)
		}
		data, err := json.Marshal(sum)
		if err != nil {
			t.Fatal(err)
		}
		var back Histogram
		if err := json.Unmarshal(data, &back); err != nil || !slices.Equal(back, sum) {
			t.Fatalf("%s is read as %v, %v", data, back, err)
		}
	})
}

func TestHistogram_Quantile(t *testing.T) {
	t.Parallel()
	var l Live
	var all []time.Duration
	for i := range 10000 {
		d := time.Duration(i*i) * time.Microsecond
		l.Add(d)
		all = append(all, d)
	}
	h := l.Snapshot()
	for _, share := range []float64{0.5, 0.95, 0.99} {
		want := all[int(share*float64(len(all)))-1]
		if got := h.Quantile(share); got < want*9/10 || got > want*11/10 {
			t.Errorf("p%v is %v, not about %v", 100*share, got, want)
		}
	}
	if got := (Histogram{}).Quantile(0.5); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

func TestHistogram_Text(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Histogram{
		"":             nil,
		"5":            {{0, 5}},
		"17:5 12 2:7":  {{16, 5}, {17, 12}, {19, 7}},
		"1:1 0 1:2":    {{0, 1}, {1, 0}, {2, 2}},
		"201:18446744": {{200, 18446744}},
	} {
		var got Histogram
		if err := got.UnmarshalText([]byte(text)); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q is read as %v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		" ", "5 ", " 5", "5  6", ":5", "5:", "0:5", "1:2:3", "-1", "1.5", "x", "9999:1", "18446744073709551615:1", "99999999999999999999", "200:1 100:1",
		strings.Repeat("1 ", Buckets) + "1",
	} {
		h := Histogram{{3, 3}}
		if err := h.UnmarshalText([]byte(text)); err == nil || h != nil {
			t.Errorf("%q is read as %v", text, h)
		}
	}
}
