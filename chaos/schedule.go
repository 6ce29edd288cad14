package chaos

import (
	"math/rand/v2"
	"time"
)

// plan is one fault that is to come.
type plan struct {
	kind kind
	gap  time.Duration // all is well for so long before
	pick uint64        // decides where
}

// schedule gives the faults one after another. It depends on the seed and the names alone, not on what happens: all kinds
// come once, in an order by chance, before the first comes again.
type schedule struct {
	random *rand.Rand
	kinds  []kind
	deck   []kind
	gap    time.Duration
}

func newSchedule(cfg Config) *schedule {
	s := &schedule{random: rand.New(rand.NewPCG(cfg.Seed, 1)), gap: cfg.Gap}
	for _, k := range kinds() {
		if len(cfg.Faults) == 0 || contains(cfg.Faults, k.name) {
			s.kinds = append(s.kinds, k)
		}
	}
	return s
}

func (s *schedule) next() plan {
	if len(s.deck) == 0 {
		s.deck = append(s.deck, s.kinds...)
		s.random.Shuffle(len(s.deck), func(i, j int) { s.deck[i], s.deck[j] = s.deck[j], s.deck[i] })
	}
	p := plan{kind: s.deck[0], gap: s.gap/2 + time.Duration(s.random.Int64N(int64(s.gap)+1)), pick: s.random.Uint64()}
	s.deck = s.deck[1:]
	return p
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}
