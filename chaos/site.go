package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey/internal/relay"
)

const (
	nodeCount  = 3
	agentCount = 2
)

// line are the workers that a durable message goes through, in their order.
var line = []string{"one", "two", "three"}

// echo answers requests.
const echo = "echo"

// site is the fabric: all processes, and the links between them.
type site struct {
	dir     string
	ports   ports
	nodes   []*node
	agents  []*agent
	workers []*worker
	nc      *nats.Conn // to look at JetStream
	js      jetstream.JetStream
}

// node is one of the cluster: a proxy with its broker.
type node struct {
	*process
	data                      string
	rest, nats, leaf, cluster int
	routes                    map[*node]*relay.Relay // to the others
}

// agent of a machine of its own, which reaches the nodes through relays.
type agent struct {
	*process
	port  int
	links []*relay.Relay // to the leaf ports of all nodes
	asks  []*relay.Relay // to their REST ports
}

// worker is one instance.
type worker struct {
	*process
	stage   string // name of its worker
	agent   *agent // nil: it is connected to the nodes
	journal string
}

// newSite starts a fabric in dir. Close it also after an error.
func newSite(ctx context.Context, cfg Config, dir string) (*site, error) {
	s := &site{dir: dir, ports: ports{given: make(map[int]bool)}}
	if err := s.prepare(cfg); err != nil {
		return s, err
	}
	for _, n := range s.nodes {
		if err := n.launch(); err != nil {
			return s, err
		}
	}
	for _, n := range s.nodes {
		if err := n.awaitReady(ctx); err != nil {
			return s, err
		}
	}
	return s, s.connect()
}

// prepare chooses ports and makes the relays; nothing runs yet.
func (s *site) prepare(cfg Config) error {
	for i := range nodeCount {
		if err := s.addNode(i); err != nil {
			return err
		}
	}
	for _, n := range s.nodes {
		if err := s.linkNode(n, cfg.Program); err != nil {
			return err
		}
	}
	for i := range agentCount {
		if err := s.addAgent(i, cfg.Program); err != nil {
			return err
		}
	}
	// Each worker has an instance behind an agent, and one that is not behind the same.
	s.addWorker(cfg, line[0], s.agents[0], nil)
	s.addWorker(cfg, line[1], s.agents[1], s.agents[0])
	s.addWorker(cfg, line[2], nil, s.agents[1])
	s.addWorker(cfg, echo, s.agents[0], nil)
	return nil
}

func (s *site) addNode(i int) error {
	name := "n" + strconv.Itoa(i+1)
	n := &node{data: filepath.Join(s.dir, name), routes: make(map[*node]*relay.Relay)}
	for _, port := range []*int{&n.rest, &n.nats, &n.leaf, &n.cluster} {
		var err error
		if *port, err = s.ports.free(); err != nil {
			return err
		}
	}
	n.process = newProcess(s.dir, name, nil)
	s.nodes = append(s.nodes, n)
	return nil
}

// linkNode makes the node's routes to the others.
func (s *site) linkNode(n *node, program string) error {
	var routes []string
	for _, to := range s.nodes {
		if to == n {
			continue
		}
		r, err := relay.Listen(at(ownHost, 0), at(ownHost, to.cluster))
		if err != nil {
			return err
		}
		n.routes[to] = r
		routes = append(routes, r.Addr())
	}
	n.argv = []string{
		program, "proxy", "--cluster", "chaos", "--name", n.name, "--data", n.data, "--routes", strings.Join(routes, ","),
		"-p", strconv.Itoa(n.rest), "--nats-port", strconv.Itoa(n.nats), "--leaf-port", strconv.Itoa(n.leaf),
		"--cluster-port", strconv.Itoa(n.cluster), "--cluster-advertise", at(nobodysHost, n.cluster),
	}
	return nil
}

func (s *site) addAgent(i int, program string) error {
	port, err := s.ports.free()
	if err != nil {
		return err
	}
	name := "agent" + strconv.Itoa(i+1)
	a := &agent{port: port}
	var proxies []string
	for _, n := range s.nodes {
		for _, link := range []struct {
			port int
			to   *[]*relay.Relay
		}{{n.leaf, &a.links}, {n.rest, &a.asks}} {
			r, err := relay.Listen(at(agentHost(i), link.port), at(ownHost, link.port))
			if err != nil {
				return err
			}
			*link.to = append(*link.to, r)
		}
		proxies = append(proxies, at(agentHost(i), n.rest))
	}
	a.process = newProcess(s.dir, name, []string{program, "agent", "-a", name, "-p", strconv.Itoa(port),
		"--proxy", strings.Join(proxies, ","), "--data", filepath.Join(s.dir, name)})
	s.agents = append(s.agents, a)
	return nil
}

func (s *site) addWorker(cfg Config, stage string, places ...*agent) {
	for i, place := range places {
		name := fmt.Sprintf("%s-%d", stage, i+1)
		url := s.natsURLs()
		if place != nil {
			url = "nats://" + at(ownHost, place.port)
		}
		w := &worker{stage: stage, agent: place, journal: filepath.Join(s.dir, name+".journal")}
		argv := []string{cfg.Program, "chaos-worker", "--stage", stage, "--instance", name, "--journal", w.journal}
		if next := nextStage(stage); next != "" {
			argv = append(argv, "--next", next)
		}
		if cfg.Break != "" {
			argv = append(argv, "--break", cfg.Break)
		}
		w.process = newProcess(s.dir, name, argv, "NATS_URL="+url)
		s.workers = append(s.workers, w)
	}
}

// nextStage is where the output of a stage goes; empty after the last.
func nextStage(stage string) string {
	for i := range len(line) - 1 {
		if line[i] == stage {
			return line[i+1]
		}
	}
	return ""
}

// connect to all nodes, to look at JetStream.
func (s *site) connect() (err error) {
	s.nc, err = nats.Connect(s.natsURLs(), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond),
		nats.PingInterval(time.Second), nats.MaxPingsOutstanding(2))
	if err != nil {
		return err
	}
	s.js, err = jetstream.New(s.nc)
	return err
}

func (s *site) natsURLs() string {
	var all []string
	for _, n := range s.nodes {
		all = append(all, "nats://"+at(ownHost, n.nats))
	}
	return strings.Join(all, ",")
}

// startWorkers starts agents and workers. Their rows are in the table.
func (s *site) startWorkers(ctx context.Context) error {
	for _, a := range s.agents {
		if err := a.start(ctx); err != nil {
			return err
		}
	}
	for _, w := range s.workers {
		if err := w.launch(); err != nil {
			return err
		}
	}
	for _, w := range s.workers {
		if err := w.awaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// processes, in the order in which they are ended.
func (s *site) processes() []*process {
	var all []*process
	for _, w := range s.workers {
		all = append(all, w.process)
	}
	for _, a := range s.agents {
		all = append(all, a.process)
	}
	for _, n := range s.nodes {
		all = append(all, n.process)
	}
	return all
}

// troubles of all processes.
func (s *site) troubles() []string {
	var all []string
	for _, p := range s.processes() {
		all = append(all, p.troubles()...)
	}
	return all
}

// close ends everything, at once.
func (s *site) close() {
	if s.nc != nil {
		s.nc.Close()
	}
	for _, p := range s.processes() {
		if err := p.kill(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	for _, a := range s.agents {
		for _, r := range append(a.links, a.asks...) {
			r.Close()
		}
	}
	for _, n := range s.nodes {
		for _, r := range n.routes {
			r.Close()
		}
	}
}
