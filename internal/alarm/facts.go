package alarm

import (
	"cmp"
	"slices"
	"time"

	"github.com/damrey/damrey/internal/api"
)

// Facts are what is known of a fabric at a moment. What is not known is left out, and then nothing is said of it: neither
// that it is wrong nor that it is well.
type Facts struct {
	At time.Time
	// Since is from when on instances were heard; zero: nobody listens to them.
	Since time.Time
	// Window is of how many seconds rates and percentiles are.
	Window float64
	// Typical is the p99 of the last hour in milliseconds by route, of those that it is known of; see [History].
	Typical map[string]float64
	// Nodes, Edges and Instances are as GET /v1/network and /v1/instances have them.
	Nodes     []api.Node
	Edges     []api.Edge
	Instances []api.Instance
	// Daemons are the agents and the other machines' proxies, as far as they beat.
	Daemons []api.Instance
	// Agents are those whose names were claimed; nil: not known.
	Agents []api.Agent
	// Disks are where brokers store; nil: not known.
	Disks []Disk
	// DisksPartly says that there may be more disks, of which nothing is known.
	DisksPartly bool
	// Replicas are the copies of streams; nil: not known.
	Replicas []Replica
}

// Disk is where a broker stores.
type Disk struct {
	Name    string // what it is: a directory, an account
	Used    float64
	Total   float64 // 0: there is no bound that is known
	Trouble string  // why nothing can be stored now; empty: it can
	Unknown bool    // whoever told of it fell silent
}

// Replica is the copy of a stream at one server of a cluster.
type Replica struct {
	Stream, Server string
	Offline        bool
	Lag            uint64 // messages that it has not yet
	// Silent is how long the stream's leader has not heard of it. One that hangs keeps its connections, so that it is not
	// offline, and lags nothing while nothing is stored.
	Silent time.Duration
}

// FactsOf are those that the proxy's own documents hold.
func FactsOf(network api.Network, instances api.InstanceList, agents api.AgentList) Facts {
	return Facts{
		At: network.At, Since: network.Since, Window: network.Window, Nodes: network.Nodes, Edges: network.Edges,
		Instances: instances.Instances, Agents: agents.Agents,
	}
}

// watched says that instances are heard, for long enough that those that are there have been.
func (f Facts) watched() bool {
	return !f.Since.IsZero() && f.At.Sub(f.Since) >= twoBeats &&
		!slices.ContainsFunc(f.Nodes, func(n api.Node) bool { return n.Health == api.HealthUnknown })
}

// darkDisk says that nothing is known of a disk just now.
func (f Facts) darkDisk(name string) bool {
	i := slices.IndexFunc(f.Disks, func(d Disk) bool { return d.Name == name })
	return i < 0 && f.DisksPartly || i >= 0 && f.Disks[i].Unknown
}

// twoBeats is after what time every instance that is there has been heard: beats come every five seconds.
const twoBeats = 12 * time.Second

// routeOf is how a route is written.
func routeOf(e api.Edge) string { return e.From + "→" + e.Type + "→" + e.To }

// stored is the backlog of one worker. Every route that leads to it carries the same.
type stored struct {
	worker string
	api.Backlog
}

// backlogs are by worker, in their order.
func (f Facts) backlogs() []stored {
	byWorker := make(map[string]api.Backlog)
	for _, e := range f.Edges {
		if e.Durable == nil {
			continue
		}
		b := byWorker[e.To]
		b.Stored, b.Limit = max(b.Stored, e.Durable.Stored), max(b.Limit, e.Durable.Limit)
		b.Fill, b.OldestAge = max(b.Fill, e.Durable.Fill), max(b.OldestAge, e.Durable.OldestAge)
		byWorker[e.To] = b
	}
	all := make([]stored, 0, len(byWorker))
	for worker, b := range byWorker {
		all = append(all, stored{worker, b})
	}
	slices.SortFunc(all, func(a, b stored) int { return cmp.Compare(a.worker, b.worker) })
	return all
}
