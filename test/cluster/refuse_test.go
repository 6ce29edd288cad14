//go:build unix

package cluster

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a person gets wrong is refused at once, with what was wrong in it.
func TestProxy_RefusesAWrongCluster(t *testing.T) {
	t.Parallel()
	n := newSite(t, 1).nodes[0]
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, takenPort, _ := net.SplitHostPort(taken.Addr().String())
	for name, c := range map[string]struct {
		code int
		args []string
		says string
	}{
		"scheme of a route": {2, []string{"--routes", "http://10.1.2.3:6222"}, `the scheme "http"`},
		"port of a route":   {2, []string{"--routes", "10.1.2.3:99999"}, "10.1.2.3:99999: the port is out of range"},
		"host of a route":   {2, []string{"--routes", "10.1.2.1,:6222"}, `":6222" has no host`},
		"path of a route":   {2, []string{"--routes", "10.1.2.3:6222/x"}, "more than a host and a port"},
		"replicas":          {2, []string{"--replicas", "2"}, "2 replicas: use 1, 3 or 5"},
		"name of a cluster": {2, []string{"--cluster", "my cluster"}, `--cluster is "my cluster"`},
		"memory":            {2, []string{"--memory", "--data", ""}, "--data"},
		"taken port":        {1, []string{"--cluster-port", takenPort}, "port " + takenPort + " on 127.0.0.1, for the other servers of the cluster, is taken"},
		"wildcard":          {2, []string{"--host", "0.0.0.0", "--insecure"}, "--advertise"},
	} {
		t.Run(name, func(t *testing.T) {
			if out := ends(t, c.code, append(n.args(), c.args...)...); !strings.Contains(out, c.says) {
				t.Errorf("says nothing of %q:\n%s", c.says, out)
			}
		})
	}
	if out := ends(t, 2, "proxy", "--routes", "10.1.2.3"); !strings.Contains(out, "name their cluster with --cluster") {
		t.Error(out)
	}
	if out := ends(t, 2, "proxy", "--replicas", "3"); !strings.Contains(out, "a broker alone has one copy") {
		t.Error(out)
	}
}

// nats-server would delete what a server alone has stored.
func TestProxy_RefusesTheDirectoryOfOneAlone(t *testing.T) {
	t.Parallel()
	n := newSite(t, 1).nodes[0]
	alone := run(t, "alone", "proxy", "--data", n.dir, "-p", "0", "--nats-port", "0", "--leaf-port", "0")
	alone.awaitReady()
	alone.stop()
	if out := ends(t, 1, n.args()...); !strings.Contains(out, "what a broker alone has stored") {
		t.Error(out)
	}
	if _, err := os.Stat(filepath.Join(n.dir, "jetstream", "$G", "streams", "KV_damrey_workers")); err != nil {
		t.Error(err)
	}
}

func TestCluster_TellsThatItsFirstStartNeedsAll(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	for _, n := range s.nodes[:2] {
		n.launch()
		n.awaitText("waiting for a majority")
	}
	s.nodes[0].awaitText("2 of 3 servers here; they elect a leader, which takes some seconds, but for the very first time")
	s.nodes[2].launch()
	for _, n := range s.nodes {
		n.awaitReady()
	}
}

func TestCluster_TellsOfWhatKeepsItApart(t *testing.T) {
	t.Parallel()
	t.Run("another login", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, 2)
		s.nodes[0].more = []string{"--user", "me", "--password", "one"}
		s.nodes[1].more = []string{"--user", "me", "--password", "two"}
		for _, n := range s.nodes {
			n.launch()
		}
		for _, n := range s.nodes {
			n.awaitText("another user or password")
		}
	})
	t.Run("one name for two", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, 2)
		s.nodes[1].name = s.nodes[0].name
		for _, n := range s.nodes {
			n.launch()
		}
		for _, n := range s.nodes {
			n.awaitText("has this one's --name")
		}
	})
	t.Run("another cluster", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, 2)
		s.nodes[1].more = []string{"--cluster", "other"}
		for _, n := range s.nodes {
			n.launch()
		}
		s.nodes[0].awaitText("is of another cluster; see --cluster")
	})
}
