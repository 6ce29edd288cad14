//go:build unix

package cluster

import (
	"testing"
)

// The number of copies can be changed, and one that the cluster is too small for is asked for in words until it is not.
func TestReplicas_AreChangedByTheNextStart(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3, "--replicas", "1")
	s.start()
	js := s.jetStream()
	if info := s.info(js, "KV_damrey_workers"); info == nil || info.Config.Replicas != 1 {
		t.Fatalf("%+v", info)
	}
	first := s.nodes[0]
	first.stop()
	first.more = []string{"--replicas", "5"}
	first.launch()
	first.awaitText("5 replicas need 5 servers with room")
	first.kill()
	first.more = []string{"--replicas", "3"}
	s.start(first)
	first.awaitText("the number of replicas is changed")
	eventually(t, "the table has three copies", func() bool {
		info := s.info(js, "KV_damrey_workers")
		return info != nil && info.Config.Replicas == 3 && allCurrent(info)
	}, &first.out)
}
