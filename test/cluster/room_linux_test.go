package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

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

// lead makes a node the leader of what an API of JetStream's is asked to give up.
func (s *site) lead(js jetstream.JetStream, n *node, api string, leader func() string) {
	s.t.Helper()
	eventually(s.t, n.name+" leads "+api, func() bool {
		if leader() == n.name {
			return true
		}
		request, err := json.Marshal(map[string]any{"placement": map[string]string{"preferred": n.name}})
		if err != nil {
			s.t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Second)
		defer cancel()
		_, _ = js.Conn().RequestWithContext(ctx, "$JS.API."+api, request)
		return false
	})
}

// largestBlock of a stream's copy at a node.
func (n *node) largestBlock(stream string) (size int64) {
	n.t.Helper()
	blocks, err := filepath.Glob(filepath.Join(n.dir, "jetstream/*/streams", stream, "msgs/*.blk"))
	if err != nil || len(blocks) == 0 {
		n.t.Fatal("no blocks", blocks, err)
	}
	for _, b := range blocks {
		if info, err := os.Stat(b); err == nil {
			size = max(size, info.Size())
		}
	}
	return size
}

// What a server's copy of a stream could not write is gone there, though it was acknowledged. Were its consumer to pass over
// it, it would be removed from all copies.
func TestCluster_LosesNothingOfWhatADiskHasNoRoomFor(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	s.start()
	s.put(s.nodes[0], source)
	s.put(s.nodes[0], damrey.Registration{Name: "sink"})
	js := s.jetStream()
	connect := damrey.WithConnect(damrey.ConnectConfig{URL: s.nodes[1].natsURL()})
	out := &sent{t: t, w: serve(t, damrey.New(damrey.Config{Name: "source"}, zerolog.Nop(), connect))}
	padding := strings.Repeat("x", 4000)
	for range 100 {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if err := out.w.Send(ctx, "job", fmt.Sprint(out.acked), padding); err != nil {
			t.Fatal(err)
		}
		cancel()
		out.acked++
	}

	// A start makes its log short, so that the stream's own file is the first that may not grow.
	full := s.nodes[0]
	full.stop()
	s.start(full)
	eventually(t, "all copies are current", func() bool { return allCurrent(s.info(js, jobsStream)) }, &full.out)
	s.lead(js, full, "STREAM.LEADER.STEPDOWN."+jobsStream, func() string {
		if info := s.info(js, jobsStream); info != nil && info.Cluster != nil {
			return info.Cluster.Leader
		}
		return ""
	})
	s.lead(js, full, "CONSUMER.LEADER.STEPDOWN."+jobsStream+".work", func() string {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if c, err := js.Consumer(ctx, jobsStream, "work"); err == nil && c.CachedInfo().Cluster != nil {
			return c.CachedInfo().Cluster.Leader
		}
		return ""
	})
	full.limitFiles(uint64(full.largestBlock(jobsStream) + 2000))
	for range 50 {
		out.sendUntilStored()
	}
	full.awaitText("this server takes no part in storing")

	// What the others store for it goes on, through it too.
	s.put(full, damrey.Registration{Name: "through-it"})
	var mu sync.Mutex
	handled := make(map[string]bool)
	sink := damrey.New(damrey.Config{Name: "sink"}, zerolog.Nop(), damrey.WithConnect(damrey.ConnectConfig{URL: full.natsURL()}))
	sink.Handle("job", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		mu.Lock()
		defer mu.Unlock()
		handled[in.Arg(0)] = true
		return nil, nil
	})
	serve(t, sink)
	eventually(t, "all that was acknowledged is handled", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(handled) == out.acked
	}, &full.out)
	full.limitFiles(^uint64(0))
	full.awaitText("files can be written again; the broker starts anew")
	eventually(t, "all copies are current again", func() bool { return allCurrent(s.info(js, jobsStream)) }, &full.out)
}
