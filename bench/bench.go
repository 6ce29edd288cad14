// Package bench measures Damrey against raw nats.go doing the same work: in one
// run, on one embedded broker, interleaved round by round, so that what else
// the machine does hits both alike. The ratios are the result; the absolute
// figures belong to the machine and the moment.
package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Result is one row of the table.
type Result struct {
	Name string `json:"name"`
	// What it measures, in words.
	What string `json:"what"`
	// Unit of Raw and Damrey: msg/s, µs or bytes.
	Unit string `json:"unit"`
	// Raw and Damrey are the medians over all rounds.
	Raw    float64 `json:"raw"`
	Damrey float64 `json:"damrey"`
	// Ratio is always so that more is better: Damrey/raw for throughput,
	// raw/Damrey for latency and memory.
	Ratio Ratio `json:"ratio"`
	// Target is the median of Ratio to reach; 0 means that there is none.
	Target float64 `json:"target"`
}

// Ratio over the rounds of a run.
type Ratio struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
}

// Config says what to measure.
type Config struct {
	// Rows by name; empty means all, see [Names].
	Rows []string
	// Rounds of every row; default 7. The first round of a row warms up and is
	// not counted.
	Rounds int
	// Scale multiplies how much work a round does, up to MaxScale; default 1.
	Scale float64
	// Stored is how many messages lie in the first stream of every durable row meanwhile, where nobody takes them.
	Stored int
	// Progress is told before each round. Nil: nobody is told.
	Progress func(row string, done, of int)
}

// row is one measurement: open prepares two ways of doing the same work, each
// returning its figure in unit for n messages.
type row struct {
	name, what, unit string
	target           float64
	n                int
	open             func(*site) (raw, ours measure, err error)
}

type measure func(n int) (float64, error)

func rows() []row {
	return []row{
		{"send", "publish → subscribe", "msg/s", 0.65, 100_000, openSend(1)},
		{"send-batch", "publish → subscribe, batch 64", "msg/s", 2.5, 200_000, openSend(64)},
		{"request", "one request at a time", "µs", 0.87, 4_000, openRequest(1)},
		{"request-64", "64 requests in flight", "msg/s", 1.1, 60_000, openRequest(64)},
		{"line-3", "three forwarded hops, 64 in flight", "msg/s", 0.85, 30_000, openLine(64)},
		{"line-3-latency", "three forwarded hops, one at a time", "µs", 0.85, 3_000, openLine(1)},
		{"agents", "64 requests in flight across two agents", "msg/s", 0.9, 30_000, openAgents},
		{"bridge", "a plain client through damrey.out", "msg/s", 0.15, 40_000, openBridge},
		{"channel", "SendChannel → RecvChannel", "msg/s", 0.4, 60_000, openChannel},
		{"routes", "publish → subscribe, 10,000 commands against 10", "msg/s", 0.95, 100_000, openRoutes},
		{"durable-send", "store on a durable route, acknowledged", "msg/s", 0.9, 20_000, openDurableSend},
		{"durable-work", "pull, handle and acknowledge what is stored", "msg/s", 0.9, 20_000, openDurableWork},
		{"durable-line-3", "three stored hops", "msg/s", 0.85, 10_000, openDurableLine},
		{"durable-latency", "one stored hop at a time, sent until handled", "µs", 0.77, 1_000, openDurableLatency},
		{"keyed", "handle what is stored, 10,000 keys in order against none", "msg/s", 0.5, 20_000, openKeyed},
		{"send-beats", "send, with counts by route and beats against without", "msg/s", 0.97, 100_000, openSendBeats},
		{"request-beats", "one request at a time, the same", "µs", 0.97, 4_000, openRequestBeats},
		{"line-3-beats", "three forwarded hops, 64 in flight, the same", "msg/s", 0.97, 30_000, openLineBeats},
		{"send-traced", "publish → subscribe, traced at a sampling of 1 % against none", "msg/s", 0.95, 100_000, openTraced(1, tracedSends)},
		{"request-traced", "64 requests in flight, traced at a sampling of 1 % against none", "msg/s", 0.95, 60_000, openTraced(1, tracedRequests)},
		{"line-3-traced", "three forwarded hops, 64 in flight, traced at a sampling of 1 % against none", "msg/s", 0.95, 30_000, openTraced(3, tracedRequests)},
		{"idle", "memory of an idle instance, 1,000 in one process", "bytes", 0, 1_000, openIdle},
	}
}

// Names of all rows.
func Names() []string {
	var names []string
	for _, r := range rows() {
		names = append(names, r.name)
	}
	return names
}

// MaxScale is the largest Scale: a hundred times the work of a full run.
const MaxScale = 100

// Run measures. It stops between two rounds when ctx ends, and returns the rows that are measured with the context's
// error.
func Run(ctx context.Context, cfg Config) ([]Result, error) {
	if cfg.Rounds == 0 {
		cfg.Rounds = 7
	}
	if cfg.Scale == 0 {
		cfg.Scale = 1
	}
	if cfg.Stored < 0 {
		return nil, fmt.Errorf("bench: %d messages stored; use 0 or more", cfg.Stored)
	}
	if !(cfg.Scale > 0 && cfg.Scale <= MaxScale) || cfg.Rounds < 0 { // NaN too
		return nil, fmt.Errorf("bench: a scale of %v in %d rounds; use more than 0 and at most %d, in 1 or more", cfg.Scale, cfg.Rounds, MaxScale)
	}
	chosen, err := choose(cfg.Rows)
	if err != nil {
		return nil, err
	}
	var results []Result
	for _, r := range chosen {
		res, err := r.run(ctx, cfg)
		if err != nil {
			return results, fmt.Errorf("bench: row %s: %w", r.name, err)
		}
		results = append(results, res)
	}
	return results, nil
}

func choose(names []string) ([]row, error) {
	all := rows()
	if len(names) == 0 {
		return all, nil
	}
	var chosen []row
	for _, name := range names {
		i := slices.IndexFunc(all, func(r row) bool { return r.name == name })
		if i < 0 {
			return nil, fmt.Errorf("bench: no row %q; rows are %s", name, strings.Join(Names(), ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

func (r row) run(ctx context.Context, cfg Config) (Result, error) {
	s, err := newSite(cfg.Stored)
	if err != nil {
		return Result{}, err
	}
	defer s.close()
	raw, ours, err := r.open(s)
	if err != nil {
		return Result{}, err
	}
	n := max(100, int(float64(r.n)*cfg.Scale))
	var rawFigures, ourFigures, ratios []float64
	for round := range cfg.Rounds + 1 {
		if cfg.Progress != nil {
			cfg.Progress(r.name, round, cfg.Rounds+1)
		}
		if ctx.Err() != nil {
			return Result{}, context.Cause(ctx)
		}
		a, err := raw(n)
		if err != nil {
			return Result{}, fmt.Errorf("with raw NATS: %w", err)
		}
		b, err := ours(n)
		if err != nil {
			return Result{}, fmt.Errorf("with Damrey: %w", err)
		}
		if round == 0 {
			continue
		}
		rawFigures, ourFigures = append(rawFigures, a), append(ourFigures, b)
		ratios = append(ratios, r.ratio(a, b))
	}
	slices.Sort(ratios)
	return Result{
		Name: r.name, What: r.what, Unit: r.unit, Target: r.target,
		Raw: median(rawFigures), Damrey: median(ourFigures),
		Ratio: Ratio{Min: ratios[0], Median: median(ratios), Max: ratios[len(ratios)-1]},
	}, nil
}

func (r row) ratio(raw, ours float64) float64 {
	if r.unit == "msg/s" {
		return ours / raw
	}
	return raw / ours
}

func median(x []float64) float64 {
	x = slices.Clone(x)
	slices.Sort(x)
	mid := len(x) / 2
	if len(x)%2 == 0 {
		return (x[mid-1] + x[mid]) / 2
	}
	return x[mid]
}
