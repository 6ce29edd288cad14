package cluster

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/damrey/damrey"
)

// limitFiles sets how large a file the process may write.
func (p *process) limitFiles(bytes uint64) {
	p.t.Helper()
	limit := syscall.Rlimit{Cur: bytes, Max: ^uint64(0)}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(p.cmd.Process.Pid), syscall.RLIMIT_FSIZE,
		uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	if errno != 0 {
		p.t.Fatalf("limit the size of its files: %v", errno)
	}
}

// A server that is started anew when there is room again keeps its ports and finds the others.
func TestCluster_GoesOnAfterAFullDisk(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	s.start()
	js := s.jetStream()
	full := s.nodes[0]
	big := damrey.Registration{Name: "big"}
	for i := range 500 {
		big.Commands = append(big.Commands, damrey.Command{Name: fmt.Sprintf("type-%d", i), Worker: strings.Repeat("x", 60)})
	}
	full.limitFiles(64 << 10)
	client := newClient(t, local(s.nodes[1].rest))
	eventually(t, "its files are full", func() bool {
		_, _ = client.Put(t.Context(), big, "") // refused when it was the leader that is full
		return strings.Contains(full.out.String(), "the broker cannot write its files")
	}, &full.out)
	full.limitFiles(^uint64(0))
	full.awaitText("files can be written again; the broker starts anew")
	s.put(s.nodes[1], damrey.Registration{Name: "healed"})
	eventually(t, "all copies are current", func() bool { return allCurrent(s.info(js, "KV_damrey_workers")) }, &full.out)
	s.put(full, damrey.Registration{Name: "through-it"})
}
