package chaos

import (
	"sort"
	"time"
)

// afterFault is how long after a fault its stalls are looked for.
const afterFault = 10 * time.Second

// measureStalls enters the faults, each with the longest time in which nothing reached the end of the line. began and
// ended are those of the traffic.
func (r *Report) measureStalls(e evidence, began, ended time.Time) {
	ends := []time.Time{began, ended}
	for _, x := range e.entries {
		if x.ends && x.stage == line[len(line)-1] && x.at.After(began) && x.at.Before(ended) {
			ends = append(ends, x.at)
		}
	}
	sort.Slice(ends, func(i, j int) bool { return ends[i].Before(ends[j]) })
	for _, f := range e.faults {
		stall := longestGap(ends, f.began, f.ended.Add(afterFault))
		r.Faults = append(r.Faults, Fault{
			Name: f.name, Target: f.target, AtMS: milliseconds(f.began.Sub(began)),
			ForMS: milliseconds(f.ended.Sub(f.began)), StallMS: milliseconds(stall),
		})
	}
	r.WorstStallMS = milliseconds(longestGap(ends, began, ended))
}

// longestGap between two of the times that follow one another, of those gaps that begin between from and to or hold from.
func longestGap(times []time.Time, from, to time.Time) (longest time.Duration) {
	for i := 1; i < len(times); i++ {
		if times[i].After(from) && times[i-1].Before(to) {
			longest = max(longest, times[i].Sub(times[i-1]))
		}
	}
	return longest
}
