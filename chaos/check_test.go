package chaos

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/damrey/damrey/internal/api"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func second(s float64) time.Time { return noon.Add(time.Duration(s * float64(time.Second))) }

// scene builds the evidence of a run, wrong in one way or in none.
type scene struct {
	evidence
	runs int
}

func (s *scene) store(id string, number int, at float64) {
	s.sent = append(s.sent, &sent{id: id, key: "k", number: number, fate: stored, began: second(at), storedAt: second(at)})
}

// runs enters an execution; end 0 is none.
func (s *scene) run(stage, instance, id, messageID string, begin, end float64) {
	s.runs++
	e := entry{run: string(rune('a' + s.runs)), stage: stage, instance: instance, at: second(begin), received: second(begin), messageID: messageID, id: id, key: "k"}
	s.entries = append(s.entries, e)
	if end > 0 {
		e.ends, e.at = true, second(end)
		s.entries = append(s.entries, e)
	}
}

// fail enters an execution that ends with an error.
func (s *scene) fail(stage, instance, id, messageID string, begin, end float64) {
	s.run(stage, instance, id, messageID, begin, end)
	s.entries[len(s.entries)-1].failed = true
}

// through is a message that goes through the whole line, a second a stage.
func (s *scene) through(id string, at float64) {
	for i, stage := range line {
		s.run(stage, stage+"-1", id, id+stage, at+float64(i), at+float64(i)+0.5)
	}
}

func TestReport_Check(t *testing.T) {
	t.Parallel()
	killed := &happened{name: "kill-instance", target: "one-1", began: second(10.2), ended: second(11), hits: map[string]bool{"one-1": true}}
	elsewhere := &happened{name: "kill-instance", target: "one-2", began: second(10.2), ended: second(11), hits: map[string]bool{"one-2": true}}
	over := &happened{name: "kill-instance", target: "one-1", began: second(5), ended: second(8.9), hits: map[string]bool{"one-1": true}}
	repeat := func(s *scene) {
		s.store("a", 0, 1)
		s.run("one", "one-1", "a", "m", 10, 0)
		s.run("one", "one-2", "a", "m", 20, 20.5)
		s.run("two", "two-1", "a", "n", 21, 21.5)
		s.run("three", "three-1", "a", "o", 22, 22.5)
	}
	for name, c := range map[string]struct {
		build func(*scene)
		found string // beginning of the only problem; empty: there is none
		count func(Report) int
	}{
		"all is well": {build: func(s *scene) { s.store("a", 0, 1); s.through("a", 2); s.store("b", 1, 2); s.through("b", 5) },
			count: func(r Report) int { return r.Processed - 1 }},
		"lost":               {build: func(s *scene) { s.store("a", 0, 1); s.run("one", "one-1", "a", "m", 2, 2.5) }, found: "lost: a", count: func(r Report) int { return r.Lost }},
		"never ended":        {build: func(s *scene) { s.store("a", 0, 1); s.run("three", "three-1", "a", "m", 2, 0) }, found: "lost: a", count: func(r Report) int { return r.Lost }},
		"dead":               {build: func(s *scene) { s.store("a", doomEvery/2, 1); s.bury("a", "it failed") }, count: func(r Report) int { return r.Dead }},
		"dead, no reason":    {build: func(s *scene) { s.store("a", doomEvery/2, 1); s.bury("a", "") }, found: "dead without a reason", count: func(r Report) int { return r.Dead }},
		"dead for nothing":   {build: func(s *scene) { s.store("a", 0, 1); s.bury("a", "it failed") }, found: "dead though it does not fail: a, handled at the end: false", count: func(r Report) int { return r.Dead }},
		"handled and dead":   {build: func(s *scene) { s.store("a", 0, 1); s.through("a", 2); s.bury("a", "it failed") }, found: "dead though it does not fail: a, handled at the end: true", count: func(r Report) int { return r.Dead }},
		"unknown is no loss": {build: func(s *scene) { s.sent = append(s.sent, &sent{id: "a", key: "k", fate: unknown}) }, count: func(r Report) int { return r.Unknown }},
		"undecided":          {build: func(s *scene) { s.sent = append(s.sent, &sent{id: "a", key: "k"}) }, found: "undecided: a", count: func(r Report) int { return r.Sent }},
		"doubled": {build: func(s *scene) { s.store("a", 0, 1); s.through("a", 2); s.run("two", "two-1", "a", "other", 6, 6.5) },
			found: "doubled: a at two", count: func(r Report) int { return r.Doubled }},
		"stored again, explained": {build: func(s *scene) {
			s.store("a", 0, 1)
			s.through("a", 2)
			s.fail("two", "two-1", "a", "atwo", 6, 6.5)
			s.entries[len(s.entries)-1].sequence, s.entries[len(s.entries)-2].sequence = 7, 7
			s.faults = []*happened{{name: "kill-cluster", began: second(1), ended: second(9)}}
		}, count: func(r Report) int { return r.StoredAgain }},
		"stored again after a failure": {build: func(s *scene) {
			s.store("a", 0, 1)
			s.fail("two", "two-1", "a", "atwo", 1.5, 1.8)
			s.entries[len(s.entries)-1].sequence, s.entries[len(s.entries)-2].sequence = 7, 7
			s.through("a", 2)
		}, found: "unexplained repetition: a at two", count: func(r Report) int { return r.StoredAgain }},
		"repeated, and received in a fault": {build: func(s *scene) {
			repeat(s)
			s.entries[0].received = second(8.5)
			s.faults = []*happened{over}
		}, count: func(r Report) int { return r.Repeated }},
		"repeated, explained":             {build: func(s *scene) { repeat(s); s.faults = []*happened{killed} }, count: func(r Report) int { return r.Repeated }},
		"repeated, nothing happened":      {build: repeat, found: "unexplained repetition: a at one", count: func(r Report) int { return r.Unexplained }},
		"repeated, it happened elsewhere": {build: func(s *scene) { repeat(s); s.faults = []*happened{elsewhere} }, found: "unexplained repetition: a at one", count: func(r Report) int { return r.Unexplained }},
		"repeated, it was over":           {build: func(s *scene) { repeat(s); s.faults = []*happened{over} }, found: "unexplained repetition: a at one", count: func(r Report) int { return r.Unexplained }},
		"failed, and ran again": {build: func(s *scene) {
			s.store("a", 0, 1)
			s.fail("two", "two-1", "a", "atwo", 2, 2.5)
			s.through("a", 3)
		}, count: func(r Report) int { return r.Retried }},
		"the one before failed for good": {build: func(s *scene) {
			s.store("a", doomEvery/2, 1)
			s.store("b", doomEvery/2+1, 2)
			s.fail("one", "one-1", "a", "m", 2, 2.5)
			s.bury("a", "it failed")
			s.through("b", 3)
			s.fail("one", "one-1", "a", "m", 5, 5.5) // its acknowledgement was lost
		}, count: func(r Report) int { return r.Processed }},
		"overtaken one that fails": {build: func(s *scene) {
			s.store("a", doomEvery/2, 1)
			s.store("b", doomEvery/2+1, 2)
			s.fail("one", "one-1", "a", "m", 2, 4.5)
			s.bury("a", "it failed")
			s.through("b", 3)
		}, found: "out of order: b at one began", count: func(r Report) int { return r.OutOfOrder }},
		"handled though it fails": {build: func(s *scene) { s.store("a", doomEvery/2, 1); s.through("a", 2) },
			found: "handled though it fails: a", count: func(r Report) int { return r.Processed }},
		"in no order": {build: func(s *scene) {
			s.store("a", 0, 1)
			s.store("b", 1, 2)
			for _, m := range s.sent {
				m.key += loose
			}
			s.through("b", 3)
			s.through("a", 3.2)
		}, count: func(r Report) int { return r.Processed - 1 }},
		"overtaken": {build: func(s *scene) {
			s.store("a", 0, 1)
			s.store("b", 1, 2)
			s.through("b", 3)
			s.run("one", "one-1", "a", "m", 3.7, 3.8)
			s.run("two", "two-1", "a", "n", 3.8, 3.9)
			s.run("three", "three-1", "a", "o", 3.9, 4)
		},
			found: "out of order: b at one began", count: func(r Report) int { return r.OutOfOrder }},
		"acknowledged by one of three": {build: func(s *scene) {
			s.store("before", 0, 7)
			s.sent[0].began = second(5.9) // may have been stored by all then
			s.through("before", 8)
			s.store("a", 1, 7)
			s.through("a", 8.6)
			s.faults = []*happened{{name: "two-down", target: "n1 and n2", began: second(5), ended: second(12), silent: window{second(6), second(10)}}}
		}, found: "acknowledged without a majority: a", count: func(r Report) int { return r.AckedWithoutMajority }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s scene
			var r Report
			c.build(&s)
			r.check(s.evidence)
			if c.count(r) != 1 {
				t.Errorf("counted %d: %+v", c.count(r), r)
			}
			switch {
			case c.found == "" && len(r.Problems) > 0:
				t.Errorf("found %q", r.Problems)
			case c.found != "" && !slices.ContainsFunc(r.Problems, func(p string) bool { return strings.HasPrefix(p, c.found) }):
				t.Errorf("found %q, not %q", r.Problems, c.found)
			}
		})
	}
}

func (s *scene) bury(id, reason string) {
	s.dead = append(s.dead, api.DeadLetter{Worker: "one", Type: "one", From: "entry", Error: reason, Message: []string{"REQUEST", "one", "k", "0", id}})
}

func TestReport_MeasuresStallsInTheWindowOfEachFault(t *testing.T) {
	t.Parallel()
	var s scene
	for _, at := range []float64{1, 2, 6, 7, 8, 9, 40, 49} {
		s.run("three", "three-1", "x", "m", at-0.1, at)
	}
	s.faults = []*happened{{name: "early", began: second(3), ended: second(4)}, {name: "late", began: second(41), ended: second(42)}}
	var r Report
	r.measureStalls(s.evidence, noon, second(50))
	if got := []int64{r.Faults[0].StallMS, r.Faults[1].StallMS, r.WorstStallMS}; !slices.Equal(got, []int64{31_000, 9_000, 31_000}) {
		t.Errorf("stalls %v", got)
	}
}

func TestSchedule_FollowsFromTheSeed(t *testing.T) {
	t.Parallel()
	names := func(seed uint64) (all []string) {
		s := newSchedule(Config{Seed: seed, Gap: time.Second})
		for range 2 * len(kinds()) {
			p := s.next()
			all = append(all, p.kind.name, p.gap.String())
		}
		return all
	}
	if !slices.Equal(names(7), names(7)) {
		t.Error("one seed gave two schedules")
	}
	if slices.Equal(names(7), names(8)) {
		t.Error("two seeds gave one schedule")
	}
	var first []string
	s := newSchedule(Config{Seed: 7})
	for range kinds() {
		first = append(first, s.next().kind.name)
	}
	slices.Sort(first)
	if len(slices.Compact(first)) != len(kinds()) {
		t.Errorf("not every kind comes once: %q", first)
	}
}

func TestConfig_CheckRefuses(t *testing.T) {
	t.Parallel()
	good := Config{For: time.Minute, Gap: time.Second, Faults: []string{"cut-leaf"}, Break: BreakAckEarly}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Config){
		"--minutes":          func(c *Config) { c.For = 0 },
		"--gap":              func(c *Config) { c.Gap = -1 },
		`--break "x"`:        func(c *Config) { c.Break = "x" },
		`no fault "cut-nil"`: func(c *Config) { c.Faults = []string{"cut-nil"} },
	} {
		bad := good
		change(&bad)
		if err := bad.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("says nothing of %s: %v", want, err)
		}
	}
}

func TestJournal_ReadsWhatItWrote(t *testing.T) {
	t.Parallel()
	e := entry{run: "7.1", stage: "two", instance: "two-1", at: second(1.5), received: second(1.2), messageID: "m.1", sequence: 9, id: "key01-4", key: "key01", number: 4}
	var text bytes.Buffer
	for _, ends := range []bool{false, true} {
		e.ends, e.at = ends, e.at.Add(time.Second)
		if err := e.write(&text); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "journal")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readJournal(path)
	if err != nil || len(got) != 2 {
		t.Fatal(got, err)
	}
	x := executions(got)
	if len(x) != 1 || !x[0].completed || x[0].end.Sub(x[0].at) != time.Second || x[0].number != 4 || x[0].messageID != "m.1" || x[0].sequence != 9 || !x[0].received.Equal(second(1.2)) {
		t.Errorf("%+v", x)
	}
	if last, ok := lastEntry(path); !ok || !last.ends {
		t.Errorf("last %+v, %v", last, ok)
	}
	if _, err := parseEntry("B 7.1 two"); err == nil {
		t.Error("half a line was taken")
	}
}
