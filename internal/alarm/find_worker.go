package alarm

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/shell"
)

func findNoInstance(_ Rule, f Facts) (all []Finding) {
	led := make(map[string]bool, len(f.Nodes)) // who only sends needs no instance
	for _, e := range f.Edges {
		led[e.To] = true
	}
	for _, n := range f.Nodes {
		if !led[n.Name] || !n.Registered || n.Paused || n.Ready > 0 {
			continue
		}
		found := Finding{
			About: n.Name, Worker: n.Name, Do: line("worker run", n.Name) + " -- COMMAND",
			Text: "worker " + n.Name + ": routes lead to it, and it has no instance",
		}
		if n.Instances > 0 {
			found.Text = fmt.Sprintf("worker %s has %s, but none is ready", n.Name, count(n.Instances, "instance"))
			found.Do = line("worker get", n.Name)
			if n.Agent != "" {
				found.Text += "; it is pinned to the agent " + n.Agent
			}
		}
		all = append(all, found)
	}
	return all
}

// findLost counts instances that fell silent and those that were started since: who restarts in time is well.
func findLost(r Rule, f Facts) (all []Finding) {
	for worker, instances := range byWorker(f.Instances) {
		within := time.Duration(r.of(worker).limits["seconds"] * float64(time.Second))
		lost, since := lostWithin(instances, f.At, within)
		missing := len(lost) - startedSince(instances, since)
		if missing <= 0 {
			continue
		}
		slices.Sort(lost)
		all = append(all, Finding{
			About: worker, Worker: worker, Value: float64(missing),
			Text: fmt.Sprintf("%s of worker %s fell silent and %s not replaced: %s",
				count(missing, "instance"), worker, wasWere(missing), few(lost)),
			Do: "nats micro ls " + worker,
		})
	}
	return all
}

func byWorker(instances []api.Instance) map[string][]*api.Instance {
	grouped := make(map[string][]*api.Instance)
	for n := range instances {
		i := &instances[n]
		grouped[i.Worker] = append(grouped[i.Worker], i)
	}
	return grouped
}

// lostWithin names the lost ones, and says when the first of them was last heard.
func lostWithin(instances []*api.Instance, now time.Time, within time.Duration) (names []string, since time.Time) {
	for _, i := range instances {
		if i.State != "lost" || now.Sub(i.Heard) > within {
			continue
		}
		names = append(names, fmt.Sprintf("%s (pid %d on %s)", i.ID, i.PID, i.Host))
		if since.IsZero() || i.Heard.Before(since) {
			since = i.Heard
		}
	}
	return names, since
}

// startedSince counts those that run and were started after a moment, by the proxy's clock.
func startedSince(instances []*api.Instance, since time.Time) (n int) {
	for _, i := range instances {
		started := i.Started.Add(-time.Duration(i.Skew * float64(time.Second)))
		if i.State != "lost" && i.State != "left" && started.After(since) {
			n++
		}
	}
	return n
}

func findAgents(r Rule, f Facts) (all []Finding) {
	within := time.Duration(r.of("").limits["hours"] * float64(time.Hour))
	for _, a := range f.Agents {
		if a.Held || f.At.Sub(a.Renewed) > within {
			continue
		}
		all = append(all, Finding{
			About: a.Name,
			Text: fmt.Sprintf("agent %s (pid %d on %s) has not renewed its name since %s",
				a.Name, a.PID, a.Host, a.Renewed.UTC().Format(time.RFC3339)),
			Do: "damrey agent -a " + shell.Word(a.Name), Hint: "on " + a.Host,
		})
	}
	return all
}

// findSkew compares machines with the proxy, or with one another if most of them are off alike: then it is the proxy's
// clock that is wrong.
func findSkew(r Rule, f Facts) (all []Finding) {
	byHost := make(map[string]float64)
	for _, beating := range [][]api.Instance{f.Daemons, f.Instances} {
		for _, i := range beating {
			if i.State != "lost" && i.State != "left" {
				byHost[i.Host] = i.Skew
			}
		}
	}
	limit := r.of("").limits["seconds"]
	middle := median(slices.Collect(maps.Values(byHost)))
	if len(byHost) < 3 || abs(middle) <= limit {
		middle = 0
	} else {
		all = append(all, skewed("proxy", "the proxy's machine", -middle, "most others", limit))
	}
	for _, host := range slices.Sorted(maps.Keys(byHost)) {
		if off := byHost[host] - middle; abs(off) > limit {
			all = append(all, skewed(host, "machine "+host, off, "the proxy's", limit))
		}
	}
	return all
}

func skewed(about, whose string, off float64, than string, limit float64) Finding {
	direction := "ahead of"
	if off < 0 {
		direction = "behind"
	}
	far := fmt.Sprintf("%.1f s", abs(off))
	if abs(off) >= (24 * time.Hour).Seconds() {
		far = "more than a day" // no more than that is told
	}
	return Finding{
		About: about, Value: off, Limit: limit, Do: "timedatectl status", Hint: "on " + whose,
		Text: fmt.Sprintf("the clock of %s is %s %s %s", whose, far, direction, than),
	}
}

func abs(x float64) float64 { return max(x, -x) }

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func findDisk(r Rule, f Facts) (all []Finding) {
	limit := r.of("").limits["fill"]
	for _, d := range f.Disks {
		found := Finding{About: d.Name, Limit: limit, Do: "df -h", Hint: "on the broker's machine; make room, or remove dead letters with `damrey dead purge`"}
		switch {
		case d.Unknown:
			continue
		case d.Trouble != "":
			found.Value, found.Text = 1, "the broker cannot store anything: "+d.Trouble
		case d.Total > 0 && d.Used/d.Total >= limit:
			found.Value = d.Used / d.Total
			found.Text = fmt.Sprintf("the storage of %s is %s full: %s of %s", d.Name, percent(found.Value), size(d.Used), size(d.Total))
		default:
			continue
		}
		all = append(all, found)
	}
	return all
}

// silentReplica is how long a server must not be heard of by a stream's leader, which asks it every second.
const silentReplica = 10 * time.Second

// findReplica says one thing of a server, however many streams it has copies of.
func findReplica(r Rule, f Facts) (all []Finding) {
	limit := r.of("").limits["lag"]
	servers := make(map[string][]Replica)
	for _, c := range f.Replicas {
		if c.Offline || c.Silent >= silentReplica || float64(c.Lag) >= limit {
			servers[c.Server] = append(servers[c.Server], c)
		}
	}
	for _, server := range slices.Sorted(maps.Keys(servers)) {
		copies := servers[server]
		worst := slices.MaxFunc(copies, func(a, b Replica) int { return cmp.Compare(a.Lag, b.Lag) })
		text := fmt.Sprintf("server %s is behind with the copies of %s, by up to %d messages (%s)",
			server, count(len(copies), "stream"), worst.Lag, worst.Stream)
		quiet := slices.MaxFunc(copies, func(a, b Replica) int { return cmp.Compare(a.Silent, b.Silent) })
		switch {
		case quiet.Silent >= silentReplica && !quiet.Offline:
			text = fmt.Sprintf("server %s hangs or cannot be reached by others: for %.0f s it has not taken part in the copies of %s (%s)",
				server, quiet.Silent.Seconds(), count(len(copies), "stream"), quiet.Stream)
		case slices.ContainsFunc(copies, func(c Replica) bool { return c.Offline }):
			text = fmt.Sprintf("server %s is away; %s of what the fabric stores lack its copy", server, count(len(copies), "stream"))
		}
		all = append(all, Finding{About: server, Text: text, Value: float64(worst.Lag), Limit: limit,
			Do: "nats stream report", Hint: "start server " + server + " again with the same --name when it is away"})
	}
	return all
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func wasWere(n int) string {
	if n == 1 {
		return "was"
	}
	return "were"
}

// few names some of many.
func few(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

func percent(share float64) string { return fmt.Sprintf("%.3g %%", 100*share) }

func size(bytes float64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for ; bytes >= 1024 && i < len(units)-1; i++ {
		bytes /= 1024
	}
	return fmt.Sprintf("%.3g %s", bytes, units[i])
}
