package proxyd

import (
	"cmp"
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/alarm"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/bucket"
)

const (
	// surveyEvery is how often it is looked at what takes more than a look into memory: agents, disks, copies.
	surveyEvery = 10 * time.Second
	// surveyAge is how long what was seen then counts as known.
	surveyAge = 45 * time.Second
	// diskKey is what the key of a proxy's disk begins with in the bucket of proxies.
	diskKey = "disk."
	// diskAge is how long what another proxy has told of its disk counts; each tells it again in half of that.
	diskAge = 5 * time.Minute
	// diskLost is how long the disk of a proxy that fell silent counts as one of which nothing is known, so that an alarm about
	// it stays. After that it counts as gone.
	diskLost = 24 * time.Hour
)

// alarmFacts gathers all that alarms are made of.
type alarmFacts struct {
	store  *store
	leases *leases
	table  func() *damrey.Table
	// network is what instances report; nil: nobody listens to them, and only what the proxy knows by itself is judged.
	network func(context.Context) (api.Network, api.InstanceList, error)
	// daemons are the agents and proxies of other machines that beat; asked where network is.
	daemons func() []api.Instance
	node    string
	disk    func() (used, total uint64, err error)

	told diskReport // last, to the other proxies

	mu       sync.Mutex // guards all below
	at       time.Time
	agents   []api.Agent
	disks    []alarm.Disk // nil: not known
	replicas []alarm.Replica
}

// diskReport is what a proxy of a cluster tells the others of its broker's disk.
type diskReport struct {
	Used    uint64 `json:"used"`
	Total   uint64 `json:"total"`
	Trouble string `json:"trouble,omitempty"`

	at time.Time
}

// now are the facts as they are now. It does not wait for the broker.
func (f *alarmFacts) now(ctx context.Context) (alarm.Facts, error) {
	facts, err := f.traffic(ctx)
	if err != nil {
		return facts, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.at) < surveyAge {
		facts.Agents, facts.Disks, facts.Replicas = f.agents, f.disks, f.replicas
	}
	facts.DisksPartly = facts.Disks == nil
	facts.Disks = append([]alarm.Disk{f.ownDisk().as(f.name())}, withoutDisk(facts.Disks, f.name())...)
	return facts, nil
}

func (f *alarmFacts) traffic(ctx context.Context) (alarm.Facts, error) {
	if f.network != nil {
		network, instances, err := f.network(ctx)
		facts := alarm.FactsOf(network, instances, api.AgentList{})
		facts.Daemons = f.daemons()
		return facts, err
	}
	table := f.table()
	if table == nil {
		return alarm.Facts{}, errNotYet
	}
	return tableFacts(table), nil
}

// tableFacts are what the table alone says.
func tableFacts(t *damrey.Table) alarm.Facts {
	facts := alarm.Facts{At: time.Now(), Nodes: []api.Node{}}
	for _, row := range t.Rows() {
		r := row.Registration
		facts.Nodes = append(facts.Nodes, api.Node{Name: r.Name, Registered: true, Paused: r.Paused, Agent: r.Agent})
		for _, c := range r.Commands {
			facts.Edges = append(facts.Edges, api.Edge{From: r.Name, Type: c.Name, To: c.Worker, Declared: true, Paused: c.Paused})
		}
	}
	return facts
}

// name of this proxy's broker.
func (f *alarmFacts) name() string { return cmp.Or(f.node, "broker") }

// run surveys until ctx ends: everything while mine says so, else only what the others are told.
func (f *alarmFacts) run(ctx context.Context, ready <-chan struct{}, mine func() bool) {
	select {
	case <-ready:
	case <-ctx.Done():
		return
	}
	for wait := time.Duration(0); ; {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		f.tellDisk(ctx)
		if mine() {
			f.survey(ctx)
		}
		wait = surveyEvery
		if !f.surveyed() {
			wait = time.Second // until it is this proxy's turn
		}
	}
}

func (f *alarmFacts) surveyed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.at.IsZero()
}

// survey keeps what could not be read unknown.
func (f *alarmFacts) survey(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, surveyEvery)
	defer cancel()
	agents, disks, replicas := f.readAgents(ctx), f.readDisks(ctx), f.readReplicas(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at, f.agents, f.disks, f.replicas = time.Now(), agents, disks, replicas
}

func (f *alarmFacts) readAgents(ctx context.Context) []api.Agent {
	records, now, err := f.leases.list(ctx)
	if err != nil {
		return nil
	}
	agents := make([]api.Agent, 0, len(records))
	for _, r := range records {
		name, err := agentOf(r.key)
		var c api.Claim
		if err != nil || json.Unmarshal(r.value, &c) != nil {
			continue // GET /v1/agents tells of it
		}
		agents = append(agents, api.Agent{
			Name: name, Host: c.Host, PID: c.PID, Since: c.Since, Renewed: r.created, Held: now.Before(r.created.Add(f.leases.length)),
		})
	}
	return agents
}

// ownDisk is that of the broker in this process, if it is there.
func (f *alarmFacts) ownDisk() diskReport {
	var d diskReport
	if err := f.store.trouble(); err != nil {
		d.Trouble = err.Error()
	}
	if f.disk != nil {
		if used, total, err := f.disk(); err == nil { // else how full it is is not known
			d.Used, d.Total = used, total
		}
	}
	return d
}

func (d diskReport) as(name string) alarm.Disk {
	return alarm.Disk{Name: name, Used: float64(d.Used), Total: float64(d.Total), Trouble: d.Trouble}
}

func withoutDisk(disks []alarm.Disk, name string) []alarm.Disk {
	return slices.DeleteFunc(slices.Clone(disks), func(d alarm.Disk) bool { return d.Name == name })
}

// tellDisk tells the other proxies of a cluster, since only one of them tells of alarms.
func (f *alarmFacts) tellDisk(ctx context.Context) {
	if f.node == "" {
		return
	}
	d := f.ownDisk()
	if time.Since(f.told.at) < diskAge/2 && d.Trouble == f.told.Trouble && math.Abs(d.share()-f.told.share()) < 0.01 {
		return
	}
	data, err := json.Marshal(d)
	if err != nil {
		return
	}
	err = f.store.use(ctx, bucket.ProxiesName(f.store.prefix), func(ctx context.Context, kv jetstream.KeyValue) error {
		_, err := kv.Put(ctx, diskKey+key(f.node), data)
		return err
	})
	if err == nil { // else it is tried again at the next look
		d.at = time.Now()
		f.told = d
	}
}

func (d diskReport) share() float64 {
	if d.Total == 0 {
		return 0
	}
	return float64(d.Used) / float64(d.Total)
}

// readDisks are those of the other proxies, and what an external NATS allows; nil while that is not known.
func (f *alarmFacts) readDisks(ctx context.Context) []alarm.Disk {
	disks := []alarm.Disk{}
	account, err := f.store.js.AccountInfo(ctx)
	if err != nil {
		return nil
	}
	if account.Limits.MaxStore > 0 {
		disks = append(disks, alarm.Disk{Name: "account", Used: float64(account.Store), Total: float64(account.Limits.MaxStore)})
	}
	if f.node == "" {
		return disks
	}
	records, err := f.store.records(ctx, bucket.ProxiesName(f.store.prefix))
	if err != nil {
		return nil
	}
	for _, r := range records {
		if disk, ok := diskOf(r, time.Since(r.created)); ok {
			disks = append(disks, disk)
		}
	}
	return disks
}

// diskOf reads what a proxy told of its disk so long ago; false when it is something else, or of a proxy that is gone.
func diskOf(r record, age time.Duration) (alarm.Disk, bool) {
	rest, ok := strings.CutPrefix(r.key, diskKey)
	node, err := agentOf(rest)
	var d diskReport
	if !ok || err != nil || json.Unmarshal(r.value, &d) != nil || age > diskLost {
		return alarm.Disk{}, false
	}
	disk := d.as(node)
	disk.Unknown = age > diskAge
	return disk, true
}

// readReplicas are the copies of all that the fabric stores; empty where there is one of each, nil while that is not known.
func (f *alarmFacts) readReplicas(ctx context.Context) []alarm.Replica {
	copies := []alarm.Replica{}
	infos, silent, err := bucket.Infos(ctx, f.store.js, "")
	if err != nil || slices.ContainsFunc(silent, f.ours) {
		return nil
	}
	for _, info := range infos {
		if info.Cluster == nil || !f.ours(info.Config.Name) {
			continue
		}
		for _, peer := range info.Cluster.Replicas {
			one := alarm.Replica{Stream: info.Config.Name, Server: peer.Name, Offline: peer.Offline, Lag: peer.Lag}
			if !peer.Current {
				one.Silent = peer.Active
			}
			copies = append(copies, one)
		}
	}
	return copies
}

func (f *alarmFacts) ours(stream string) bool {
	return strings.HasPrefix(stream, "KV_"+f.store.prefix+"_") || strings.HasPrefix(stream, strings.ToUpper(f.store.prefix)+"_")
}
