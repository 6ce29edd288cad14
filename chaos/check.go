package chaos

import (
	"fmt"
	"sort"
	"time"

	"github.com/damrey/damrey/internal/api"
)

// evidence is what a run left behind.
type evidence struct {
	sent    []*sent
	entries []entry
	faults  []*happened
	dead    []api.DeadLetter
}

// before is how long before a message was received a fault may have ended that explains its repetition.
const before = time.Second

// check enters what is wrong with the durable messages.
func (r *Report) check(e evidence) {
	all := executions(e.entries)
	stages := make(map[string]*stageLedger)
	for _, name := range line {
		stages[name] = &stageLedger{name: name, byID: make(map[string][]*execution)}
	}
	for _, x := range all {
		if s := stages[x.stage]; s != nil {
			s.byID[x.id] = append(s.byID[x.id], x)
		}
	}
	for _, name := range line {
		stages[name].sort()
	}
	r.checkFates(e, stages[line[len(line)-1]])
	for _, name := range line {
		r.checkDoubles(stages[name])
		r.checkRepetitions(stages[name], e.faults)
		r.checkOrder(stages[name], e.sent)
	}
	r.checkSilence(e)
}

// stageLedger is what one worker did with the messages, by their ids, each in the order in which they began.
type stageLedger struct {
	name string
	byID map[string][]*execution
}

func (s *stageLedger) sort() {
	for _, xs := range s.byID {
		sort.SliceStable(xs, func(i, j int) bool { return xs[i].at.Before(xs[j].at) })
	}
}

// done is when a message had been handled for the first time.
func done(xs []*execution) (at time.Time, ok bool) {
	for _, x := range xs {
		if x.completed && (!ok || x.end.Before(at)) {
			at, ok = x.end, true
		}
	}
	return at, ok
}

// over is when a message had been handled, or had failed for good: at once. It may run again like any other, when a fault
// takes its acknowledgement.
func over(xs []*execution) (at time.Time, ok bool) {
	if at, ok = done(xs); ok {
		return at, ok
	}
	for _, x := range xs {
		if x.failed && (!ok || x.end.Before(at)) {
			at, ok = x.end, true
		}
	}
	return at, ok
}

// checkFates finds what is lost.
func (r *Report) checkFates(e evidence, last *stageLedger) {
	dead := make(map[string]string) // why, by the message's id
	for _, letter := range e.dead {
		if len(letter.Message) == 5 {
			dead[letter.Message[4]] = letter.Error
		}
		if letter.Error == "" {
			r.accuse("dead without a reason: letter %d of %s, %q", letter.Sequence, letter.Route(), letter.Message)
		}
	}
	r.Dead = len(e.dead)
	var lost []string
	for _, s := range e.sent {
		r.Sent++
		_, processed := done(last.byID[s.id])
		why, buried := dead[s.id]
		if processed {
			r.Processed++
		}
		switch {
		case s.fate == undecided:
			r.accuse("undecided: %s was never stored: %v", s.id, s.err)
		case s.fate == unknown:
			r.Unknown++
		case doomed(s.number) && processed:
			r.accuse("handled though it fails: %s", s.id)
			r.Stored++
		case buried && !doomed(s.number):
			r.accuse("dead though it does not fail: %s, handled at the end: %t: %s", s.id, processed, why)
			r.Stored++
		case !processed && !buried:
			lost = append(lost, s.id)
			fallthrough
		default:
			r.Stored++
		}
		r.DuplicatesSuppressed += s.again
	}
	r.Lost = len(lost)
	r.accuseAll("lost", lost)
}

// checkDoubles finds messages that were stored under two ids.
func (r *Report) checkDoubles(s *stageLedger) {
	var doubled []string
	for id, xs := range s.byID {
		ids := make(map[string]bool)
		for _, x := range xs {
			ids[x.messageID] = true
		}
		if len(ids) > 1 {
			doubled = append(doubled, fmt.Sprintf("%s at %s, stored %d times", id, s.name, len(ids)))
		}
	}
	sort.Strings(doubled)
	r.Doubled += len(doubled)
	r.accuseAll("doubled", doubled)
}

// checkRepetitions explains why a stored message ran again.
func (r *Report) checkRepetitions(s *stageLedger, faults []*happened) {
	var unexplained []string
	for id, xs := range s.byID {
		latest := make(map[string]*execution)
		for _, x := range xs {
			was := latest[x.messageID]
			latest[x.messageID] = x
			if was == nil {
				continue
			}
			anew := was.sequence != x.sequence
			if was.failed && !anew {
				r.Retried++
				continue
			}
			r.Repeated++
			if anew { // what it follows from ran again, and the broker had forgotten its id
				r.StoredAgain++
			}
			if !explained(was, x, faults) {
				unexplained = append(unexplained, fmt.Sprintf("%s at %s: began at %s %s, and at %s %v later",
					id, s.name, was.instance, was.at.Format("15:04:05.000"), x.instance, x.at.Sub(was.at).Round(time.Millisecond)))
			}
		}
	}
	sort.Strings(unexplained)
	r.Unexplained += len(unexplained)
	r.accuseAll("unexplained repetition", unexplained)
}

func explained(was, again *execution, faults []*happened) bool {
	for _, f := range faults {
		if f.hit(was.instance) && f.overlaps(was.received.Add(-before), again.at) {
			return true
		}
	}
	return false
}

// checkOrder looks at the first executions of the messages of each key. Those of unknown fate are left out: whether and
// when they were stored is not known.
func (r *Report) checkOrder(s *stageLedger, all []*sent) {
	var wrong []string
	last := make(map[string]*sent)
	for _, m := range all { // of one key in ascending order
		xs := s.byID[m.id]
		if isLoose(m.key) || m.fate != stored || len(xs) == 0 {
			continue
		}
		was := last[m.key]
		last[m.key] = m
		if was == nil {
			continue
		}
		ended, ok := over(s.byID[was.id])
		if !ok || xs[0].at.Before(ended) {
			wrong = append(wrong, fmt.Sprintf("%s at %s began %s at %s, %s %s", m.id, s.name,
				xs[0].at.Format("15:04:05.000"), xs[0].instance, was.id, endedText(ended, ok)))
		}
	}
	r.OutOfOrder += len(wrong)
	r.accuseAll("out of order", wrong)
}

func endedText(at time.Time, ok bool) string {
	if !ok {
		return "never ended"
	}
	return "ended " + at.Format("15:04:05.000")
}

// checkSilence finds what was acknowledged without a majority. What was sent before it was gone may have been stored by it;
// the node that is left acknowledges its repetition as the duplicate that it is.
func (r *Report) checkSilence(e evidence) {
	var wrong []string
	for _, f := range e.faults {
		for _, s := range e.sent {
			if s.fate == stored && f.silent.holds(s.began) && f.silent.holds(s.storedAt) {
				wrong = append(wrong, fmt.Sprintf("%s at %s, %s down since %s", s.id, s.storedAt.Format("15:04:05.000"),
					f.target, f.began.Format("15:04:05.000")))
			}
		}
	}
	r.AckedWithoutMajority = len(wrong)
	r.accuseAll("acknowledged without a majority", wrong)
}
