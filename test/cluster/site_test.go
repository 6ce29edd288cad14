//go:build unix

package cluster

import (
	"context"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

// site is the machines of a cluster.
type site struct {
	t     *testing.T
	nodes []*node
}

// node is one of them, which may be killed and started again as it was.
type node struct {
	*process
	t                         *testing.T
	name, dir                 string
	rest, nats, leaf, cluster int
	routes                    string
	more                      []string
}

// newSite prepares n nodes of one machine.
func newSite(t *testing.T, n int, more ...string) *site {
	t.Helper()
	s := &site{t: t}
	var routes []string
	for i := range n {
		name := "n" + strconv.Itoa(i+1)
		s.nodes = append(s.nodes, &node{
			t: t, name: name, dir: filepath.Join(t.TempDir(), name), more: more,
			rest: freePort(t), nats: freePort(t), leaf: freePort(t), cluster: freePort(t),
		})
		routes = append(routes, local(s.nodes[i].cluster))
	}
	for _, node := range s.nodes {
		node.routes = strings.Join(routes, ",")
	}
	return s
}

// start runs nodes, all of them when none is named, and waits for them.
func (s *site) start(nodes ...*node) {
	s.t.Helper()
	if len(nodes) == 0 {
		nodes = s.nodes
	}
	for _, n := range nodes {
		n.launch()
	}
	for _, n := range nodes {
		n.awaitReady()
	}
}

func (n *node) launch() {
	n.t.Helper()
	n.process = run(n.t, n.name, append(n.args(), n.more...)...)
}

func (n *node) args() []string {
	return []string{
		"proxy", "--cluster", "damrey", "--name", n.name, "--data", n.dir, "--routes", n.routes,
		"-p", strconv.Itoa(n.rest), "--nats-port", strconv.Itoa(n.nats), "--leaf-port", strconv.Itoa(n.leaf),
		"--cluster-port", strconv.Itoa(n.cluster),
	}
}

func (n *node) natsURL() string { return "nats://" + local(n.nats) }

// proxies is the --proxy for the whole cluster.
func (s *site) proxies() string {
	var all []string
	for _, n := range s.nodes {
		all = append(all, local(n.rest))
	}
	return strings.Join(all, ",")
}

// natsURLs is the --nats for the whole cluster.
func (s *site) natsURLs() string {
	var all []string
	for _, n := range s.nodes {
		all = append(all, n.natsURL())
	}
	return strings.Join(all, ",")
}

// client of this node's proxy alone.
func (n *node) client() *api.Client {
	n.t.Helper()
	return newClient(n.t, local(n.rest))
}

func newClient(t *testing.T, proxies string) *api.Client {
	t.Helper()
	c, err := api.New(proxies)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// put stores a row, as often as it takes.
func (s *site) put(by *node, reg damrey.Registration) {
	s.t.Helper()
	client := by.client()
	eventually(s.t, by.name+" stores "+reg.Name, func() bool {
		_, err := client.Put(s.t.Context(), reg, "")
		if err != nil {
			s.t.Log(err)
		}
		return err == nil
	})
}

// jetStream of the cluster, through whichever node answers.
func (s *site) jetStream() jetstream.JetStream {
	s.t.Helper()
	nc, err := nats.Connect(s.natsURLs(), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		s.t.Fatal(err)
	}
	return js
}

// info of a stream; nil while it cannot be had.
func (s *site) info(js jetstream.JetStream, stream string) *jetstream.StreamInfo {
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Second)
	defer cancel()
	got, err := js.Stream(ctx, stream)
	if err != nil {
		return nil
	}
	return got.CachedInfo()
}

// leader of a stream.
func (s *site) leader(js jetstream.JetStream, stream string) (leader *node) {
	s.t.Helper()
	eventually(s.t, stream+" has a leader", func() bool {
		info := s.info(js, stream)
		for _, n := range s.nodes {
			if info != nil && info.Cluster != nil && info.Cluster.Leader == n.name {
				leader = n
			}
		}
		return leader != nil
	})
	return leader
}

// others are the two besides this one.
func (s *site) others(n *node) (*node, *node) {
	rest := slices.DeleteFunc(slices.Clone(s.nodes), func(o *node) bool { return o == n })
	return rest[0], rest[1]
}

// freePort finds a port below those that the system gives to outgoing connections, so that a process which is started
// again finds it free again.
func freePort(t *testing.T) int {
	t.Helper()
	for range 1000 {
		port := 20_000 + rand.IntN(12_000)
		if _, given := givenPorts.LoadOrStore(port, true); given {
			continue // to another test, whose process has not taken it yet
		}
		ln, err := net.Listen("tcp", local(port))
		if err == nil {
			ln.Close()
			return port
		}
	}
	t.Fatal("no free port between 20000 and 32000")
	return 0
}

var givenPorts sync.Map

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
