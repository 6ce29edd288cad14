package bench_test

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/damrey/damrey/bench"
)

// It runs and measures something; how much is for people to read.
func TestRun_EveryRowGivesItsFigures(t *testing.T) {
	t.Parallel()
	results, err := bench.Run(context.Background(), bench.Config{Rounds: 1, Scale: 0.01, Stored: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		t.Logf("%+v", r)
		if r.Raw <= 0 || r.Damrey <= 0 || r.Ratio.Median <= 0 || r.Ratio.Min > r.Ratio.Max {
			t.Errorf("row %s: %+v", r.Name, r)
		}
	}
	if len(results) != len(bench.Names()) {
		t.Errorf("%d rows, want %d", len(results), len(bench.Names()))
	}
}

func TestRun_RefusesAnUnknownRow(t *testing.T) {
	t.Parallel()
	_, err := bench.Run(context.Background(), bench.Config{Rows: []string{"speed"}})
	if err == nil || err.Error()[:24] != `bench: no row "speed"; r` {
		t.Errorf("got %v", err)
	}
}

func TestRun_RefusesAScaleThatIsNone(t *testing.T) {
	t.Parallel()
	for _, scale := range []float64{math.NaN(), math.Inf(1), -1, 1e300} {
		if _, err := bench.Run(t.Context(), bench.Config{Scale: scale}); err == nil {
			t.Errorf("took %v", scale)
		}
	}
}

func TestRun_GivesWhatItHasWhenItIsInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	results, err := bench.Run(ctx, bench.Config{
		Rows: []string{"request", "send"}, Rounds: 1, Scale: 0.01,
		Progress: func(row string, _, _ int) {
			if row == "send" {
				cancel()
			}
		},
	})
	if !errors.Is(err, context.Canceled) || len(results) != 1 || results[0].Name != "request" {
		t.Errorf("%+v, %v", results, err)
	}
}
