package broker_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey/broker"
)

// node is one of a cluster of three, which can be stopped and started again.
type node struct {
	t    *testing.T
	cfg  broker.Config
	b    *broker.Broker
	stop func()
}

func (n *node) start() {
	n.t.Helper()
	n.b = newBroker(n.t, n.cfg)
	n.stop = start(n.t, n.b)
}

func threeNodes(t *testing.T) (all [3]*node) {
	t.Helper()
	var ports [3]int
	var routes []string
	for i := range ports {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		ports[i] = ln.Addr().(*net.TCPAddr).Port
		routes = append(routes, ln.Addr().String())
	}
	for i := range all {
		all[i] = &node{t: t, cfg: broker.Config{
			Name: fmt.Sprint("n", i+1), Dir: t.TempDir(), Cluster: broker.Cluster{Name: "c", Port: ports[i], Routes: routes},
		}}
	}
	return all
}

// js is JetStream as this node reaches it, once the cluster answers.
func (n *node) js() jetstream.JetStream {
	n.t.Helper()
	js := jetStream(n.t, connect(n.t, n.b))
	eventually(n.t, "the cluster stores", func() bool {
		ctx, cancel := context.WithTimeout(n.t.Context(), 2*time.Second)
		defer cancel()
		_, err := js.AccountInfo(ctx)
		return err == nil
	})
	return js
}

func (n *node) blocks() string {
	return filepath.Join(n.cfg.Dir, "jetstream", "$G", "streams", "S", "msgs")
}

// A copy with a damaged block goes back to before that and gets the rest from the others. nats-server alone would cut that block
// off, and once it led, what was behind would be gone from all copies.
func TestBroker_DamagedCopyIsMadeWhole(t *testing.T) {
	t.Parallel()
	const count, size = 300, 50_000 // several blocks
	nodes := threeNodes(t)
	for _, n := range nodes {
		n.start()
	}
	js := nodes[1].js()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	stream := threeCopies(ctx, t, js, jetstream.WorkQueuePolicy)
	payload := bytes.Repeat([]byte("x"), size)
	for i := range count {
		if _, err := js.PublishMsg(ctx, &nats.Msg{Subject: "s.x", Header: nats.Header{"N": {fmt.Sprint(i)}}, Data: payload}); err != nil {
			t.Fatal(err)
		}
	}
	awaitCurrent(ctx, t, stream)

	eventually(t, "the copy is written", func() bool { return nodes[0].stored() >= count*size })
	nodes[0].stop()
	file := filepath.Join(nodes[0].blocks(), "1.blk")
	block, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block[len(block)/2] ^= 0xff
	if err := os.WriteFile(file, block, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(nodes[0].blocks(), "index.db")); err != nil { // as after a kill
		t.Fatal(err)
	}
	nodes[0].start()
	if kept, err := filepath.Glob(filepath.Join(nodes[0].cfg.Dir, "damaged", "S-*", "*.blk*")); err != nil || len(kept) < 2 {
		t.Errorf("what was taken out is not kept: %v, %v", kept, err)
	}
	eventually(t, "the copy is whole again", func() bool { return nodes[0].stored() >= count*size })
}

// threeCopies makes stream S on all servers.
func threeCopies(ctx context.Context, t *testing.T, js jetstream.JetStream, retention jetstream.RetentionPolicy) (stream jetstream.Stream) {
	t.Helper()
	eventually(t, "a stream of three copies", func() (ok bool) {
		var err error
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		stream, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, Replicas: 3, Retention: retention})
		return err == nil
	})
	return stream
}

// stored is how many bytes its blocks have.
func (n *node) stored() (size int64) {
	blocks, err := filepath.Glob(filepath.Join(n.blocks(), "*.blk"))
	if err != nil {
		n.t.Fatal(err)
	}
	for _, b := range blocks {
		if info, err := os.Stat(b); err == nil { // one may go meanwhile
			size += info.Size()
		}
	}
	return size
}

// info is refused, or gets no answer, in an election.
func info(ctx context.Context, stream jetstream.Stream) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return stream.Info(ctx)
}

func awaitCurrent(ctx context.Context, t *testing.T, stream jetstream.Stream) {
	t.Helper()
	eventually(t, "all copies are current", func() bool {
		info, err := info(ctx, stream)
		if err != nil || info.Cluster == nil || info.Cluster.Leader == "" || len(info.Cluster.Replicas) != 2 {
			return false
		}
		for _, r := range info.Cluster.Replicas {
			if !r.Current || r.Lag > 0 {
				return false
			}
		}
		return true
	})
}
