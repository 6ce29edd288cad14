package alarm

import (
	"fmt"

	"github.com/damrey/damrey/internal/api"
)

func findNoWorker(_ Rule, f Facts) (all []Finding) {
	registered := make(map[string]bool, len(f.Nodes))
	for _, n := range f.Nodes {
		registered[n.Name] = n.Registered
	}
	for _, e := range f.Edges {
		if !e.Declared || registered[e.To] {
			continue
		}
		all = append(all, Finding{
			About: routeOf(e), Worker: e.From, Do: line("worker add", e.To),
			Text: fmt.Sprintf("worker %s sends %s to worker %s, which is not registered", e.From, e.Type, e.To),
		})
	}
	return all
}

// eachShare finds the routes of which a share is over the limit, and of enough messages.
func eachShare(r Rule, f Facts, part func(api.Edge) (part, of uint64), say func(api.Edge, string) Finding) (all []Finding) {
	for _, e := range f.Edges {
		limits := r.of(e.To).limits
		n, of := part(e)
		if float64(n) < limits["least"] || of == 0 || float64(n)/float64(of) < limits["share"] {
			continue
		}
		is := float64(n) / float64(of)
		found := say(e, fmt.Sprintf("%s of %d messages of %s", percent(is), of, routeOf(e)))
		found.About, found.Worker, found.Value, found.Limit = routeOf(e), e.To, is, limits["share"]
		found.Text += f.window()
		all = append(all, found)
	}
	return all
}

func (f Facts) window() string {
	if f.Window <= 0 {
		return ""
	}
	return fmt.Sprintf(" in the last %.0f s", f.Window)
}

func findErrors(r Rule, f Facts) []Finding {
	return eachShare(r, f,
		func(e api.Edge) (uint64, uint64) { return e.Failed, e.Handled },
		func(e api.Edge, share string) Finding {
			if e.LastError != "" {
				share = fmt.Sprintf("the last error was %q; %s", e.LastError, share)
			}
			return Finding{Text: share + " failed", Do: line("tap", e.From, e.Type)}
		})
}

func findTimeouts(r Rule, f Facts) []Finding {
	return eachShare(r, f,
		func(e api.Edge) (uint64, uint64) { return e.Timeouts, e.Handled + e.Timeouts },
		func(_ api.Edge, share string) Finding {
			return Finding{Text: "the time was used up of " + share, Do: "damrey trace ls"}
		})
}

func findBusy(r Rule, f Facts) []Finding {
	return eachShare(r, f,
		func(e api.Edge) (uint64, uint64) { return e.Busy, e.Handled + e.Busy },
		func(e api.Edge, share string) Finding {
			return Finding{
				Text: "the instances of " + e.To + " are overloaded and refused " + share,
				Do:   line("worker run", e.To) + " -- COMMAND", Hint: "for more instances; `damrey worker chg " + e.To + " --mpu N` lets each do more at once",
			}
		})
}

func findSlow(r Rule, f Facts) (all []Finding) {
	for _, e := range f.Edges {
		limits := r.of(e.To).limits
		if float64(e.Handled) < limits["least"] {
			continue
		}
		limit, than := limits["p99_ms"], ""
		before := f.Typical[routeOf(e)] * limits["times"]
		if before > 0 && e.P99 >= limits["floor_ms"] && before < limit {
			limit, than = before, fmt.Sprintf(", %.3g times that of the last hour", e.P99/f.Typical[routeOf(e)])
		}
		if e.P99 <= limit {
			continue
		}
		all = append(all, Finding{
			About: routeOf(e), Worker: e.To, Value: e.P99, Limit: limit, Do: "damrey trace ls",
			Text: fmt.Sprintf("one in a hundred messages of %s stays %.4g ms or longer%s", routeOf(e), e.P99, than),
		})
	}
	return all
}

func findUndelivered(r Rule, f Facts) (all []Finding) {
	for _, e := range f.Edges {
		limit := r.of(e.To).limits["least"]
		if float64(e.Undelivered) < limit {
			continue
		}
		all = append(all, Finding{
			About: routeOf(e), Worker: e.To, Value: float64(e.Undelivered), Limit: limit,
			Text: fmt.Sprintf("%s of %s reached nobody%s", count(int(e.Undelivered), "message"), routeOf(e), f.window()),
			Do:   "nats micro ls " + e.To,
		})
	}
	return all
}

func findBacklog(r Rule, f Facts) (all []Finding) {
	for _, b := range f.backlogs() {
		limits := r.of(b.worker).limits
		found := Finding{About: b.worker, Worker: b.worker, Do: line("worker run", b.worker) + " -- COMMAND", Hint: "for more instances"}
		switch {
		case b.Fill >= limits["fill"]:
			found.Value, found.Limit = b.Fill, limits["fill"]
			found.Text = fmt.Sprintf("%s of what may be stored for worker %s is used: %s", percent(b.Fill), b.worker, count(int(b.Stored), "message"))
		case limits["messages"] > 0 && float64(b.Stored) >= limits["messages"]:
			found.Value, found.Limit = float64(b.Stored), limits["messages"]
			found.Text = fmt.Sprintf("%s stored for worker %s", areStored(b.Stored), b.worker)
		default:
			continue
		}
		all = append(all, found)
	}
	return all
}

func areStored(n uint64) string {
	if n == 1 {
		return "1 message is"
	}
	return fmt.Sprintf("%d messages are", n)
}

func findBacklogAge(r Rule, f Facts) (all []Finding) {
	for _, b := range f.backlogs() {
		limit := r.of(b.worker).limits["seconds"]
		if b.Stored == 0 || b.OldestAge < limit {
			continue
		}
		all = append(all, Finding{
			About: b.worker, Worker: b.worker, Value: b.OldestAge, Limit: limit,
			Text: fmt.Sprintf("the oldest of %s stored for worker %s is %.0f s old", count(int(b.Stored), "message"), b.worker, b.OldestAge),
			Do:   "nats stream report", Hint: "then start or mend instances of " + b.worker,
		})
	}
	return all
}

func findDead(r Rule, f Facts) (all []Finding) {
	for _, e := range f.Edges {
		limit := r.of(e.To).limits["letters"]
		if e.Durable == nil || float64(e.Durable.Dead) < limit {
			continue
		}
		all = append(all, Finding{
			About: routeOf(e), Worker: e.To, Value: float64(e.Durable.Dead), Limit: limit,
			Text: fmt.Sprintf("there %s of %s", letters(e.Durable.Dead), routeOf(e)),
			Do:   lettersOf(e),
		})
	}
	return all
}

// lettersOf lists the dead letters of a route; the default route has those of any type.
func lettersOf(e api.Edge) string {
	if e.Type == "*" {
		return "damrey dead ls --from " + e.From + " --worker " + e.To
	}
	return "damrey dead ls --from " + e.From + " --type " + e.Type
}

func letters(n uint64) string {
	if n == 1 {
		return "is 1 dead letter"
	}
	return fmt.Sprintf("are %d dead letters", n)
}
