//go:build unix

package cluster

import (
	"strings"
	"syscall"
	"testing"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

// A server that hangs keeps its connections, so that the others do not take it for gone; yet its copies fall behind.
func TestCluster_AlarmsOfAServerThatHangs(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	s.start()
	s.put(s.nodes[0], damrey.Registration{Name: "kept"})
	js := s.jetStream()
	leader := s.leader(js, "KV_damrey_workers")
	asked, hangs := s.others(leader)
	client := asked.client()
	if _, err := client.PutAlarmRule(t.Context(), "replica", api.AlarmRuleChange{For: "1s", Keep: "1s"}); err != nil {
		t.Fatal(err)
	}
	fires := func(about string) bool {
		list, err := client.Alarms(t.Context(), api.AlarmFilter{})
		if err != nil {
			t.Log(err)
			return false
		}
		for _, a := range list.Alarms {
			if a.Rule == "replica" && a.State == "firing" {
				return strings.Contains(a.Text, about)
			}
		}
		return false
	}
	eventually(t, "all copies are current", func() bool { return allCurrent(s.info(js, "KV_damrey_workers")) })
	hangs.signal(syscall.SIGSTOP)
	eventually(t, "the alarm of "+hangs.name+" fires", func() bool { return fires("server " + hangs.name + " hangs") })
	hangs.signal(syscall.SIGCONT)
	eventually(t, "it is resolved", func() bool { return !fires("") })
}
