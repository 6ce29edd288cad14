package proxyd_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/proxyd"
)

func TestProxy_MakesAWipedBucketAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	js, err := jetstream.New(r.nc)
	if err != nil {
		t.Fatal(err)
	}
	wipe := func() {
		for _, name := range []string{"damrey_workers", "damrey_agents"} {
			if err := js.DeleteKeyValue(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			// nats-server 2.15.2 removes the files later, under another name. A second deletion that finds that name taken
			// leaves its files where the next bucket of the name is made, which then has the old entries.
			files := filepath.Join(r.srv.JetStreamConfig().StoreDir, "$G", "streams", ".KV_"+name)
			eventually(t, "the files are gone", func() bool { _, err := os.Stat(files); return errors.Is(err, fs.ErrNotExist) })
		}
	}
	r.must(201, "POST", "/worker/add", seed)
	wipe()
	r.must(201, "POST", "/worker/add", seed)
	wipe()
	r.must(404, "GET", "/v1/workers/entry", "")
	wipe()
	if got := r.must(200, "GET", "/workers/get", "").body; strings.TrimSpace(got) != "[]" {
		t.Errorf("the list is %s", got)
	}
	wipe()
	r.must(200, "PUT", "/v1/agents/a:1", `{"id":"a","host":"h","pid":1}`)
	wipe()
	r.must(200, "GET", "/readyz", "")
}

func TestProxy_SaysThatTheBrokerIsAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := startNATS(t, dir, -1)
	r := startProxy(t, srv, proxyd.Config{})
	await(t, r.proxy.Ready())
	r.must(201, "POST", "/worker/add", seed)
	var port int
	if _, err := fmt.Sscanf(srv.Addr().String(), "127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	stopNATS(srv)
	eventually(t, "the connection is down", func() bool { return !r.nc.IsConnected() })

	for _, ask := range [][3]string{
		{"POST", "/worker/add", `{"name":"w"}`}, {"POST", "/worker/chg", seed}, {"DELETE", "/v1/workers/entry", ""},
		{"GET", "/v1/workers", ""}, {"GET", "/v1/workers/entry", ""}, {"GET", "/v1/agents", ""},
		{"PUT", "/v1/agents/a:1", `{"id":"a","host":"h","pid":1}`},
		{"GET", "/v1/dead", ""}, {"POST", "/v1/dead/1/retry", ""}, {"DELETE", "/v1/dead/1", ""},
	} {
		p := r.must(503, ask[0], ask[1], ask[2]).problem(t)
		// who only looks is told of no change
		if !strings.Contains(p.Detail, "broker is away") || strings.Contains(p.Detail, "not stored, nothing was changed") == (ask[0] == "GET") {
			t.Errorf("%s %s: %s", ask[0], ask[1], p.Detail)
		}
	}
	if p := r.must(503, "GET", "/readyz", "").problem(t); !strings.Contains(p.Detail, "no connection to NATS") {
		t.Error(p.Detail)
	}
	r.must(200, "GET", "/healthz", "")
	r.must(200, "GET", "/v1/fabric", "")

	startNATS(t, dir, port)
	eventually(t, "it is ready again", func() bool { return r.do("GET", "/readyz", "").status == 200 })
	r.must(404, "GET", "/v1/workers/w", "") // what was refused did not wait in a buffer
	r.must(200, "GET", "/v1/workers/entry", "")
}

// A broker that stays connected and does not answer: nobody can know whether the change was stored.
func TestProxy_SaysThatAChangeIsUncertain(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	js, err := jetstream.New(r.nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "KV_damrey_workers")
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.NoAck = true
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	p := r.must(503, "POST", "/worker/add", seed).problem(t)
	if !strings.Contains(p.Detail, "not known") || strings.Contains(p.Detail, "nothing was changed") {
		t.Error(p.Detail)
	}
	r.must(200, "GET", "/v1/workers/entry", "")
}

func TestProxy_BecomesReadyWhenJetStreamComes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() // goes after the server and the proxy, which still makes buckets
	srv := startNATS(t, "", -1, func(o *server.Options) { o.JetStream = false })
	r := startProxy(t, srv, proxyd.Config{})
	p := r.must(503, "GET", "/readyz", "").problem(t)
	if !strings.Contains(p.Detail, "damrey_workers") {
		t.Error(p.Detail)
	}
	if err := srv.EnableJetStream(&server.JetStreamConfig{StoreDir: dir, MaxMemory: 1 << 20, MaxStore: 1 << 30}); err != nil {
		t.Fatal(err)
	}
	await(t, r.proxy.Ready())
	r.must(200, "GET", "/readyz", "")
}

func TestProxy_RefusesWhatTheBrokerWouldNotTake(t *testing.T) {
	t.Parallel()
	srv := startNATS(t, t.TempDir(), -1, func(o *server.Options) { o.MaxPayload = 4096 })
	r := startProxy(t, srv, proxyd.Config{})
	await(t, r.proxy.Ready())
	reg := damrey.Registration{Name: "entry"}
	for i := range 200 {
		reg.Commands = append(reg.Commands, damrey.Command{Name: fmt.Sprintf("type-%d", i), Worker: "target"})
	}
	_, err := r.client().Add(t.Context(), reg)
	if status(err) != 413 || !strings.Contains(err.Error(), "4096") {
		t.Errorf("%v", err)
	}
}

// nats-server 2.15.2: with one flipped bit the server is healthy, and lists of keys lack an entry without an error.
func TestTrap_ProxyRefusesAListWithAGap(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := startNATS(t, dir, -1)
	r := startProxy(t, srv, proxyd.Config{})
	await(t, r.proxy.Ready())
	kv := r.bucket("damrey_workers")
	for i := range 300 {
		name := fmt.Sprintf("worker-%03d", i)
		if _, err := kv.PutString(t.Context(), name, `{"name":"`+name+`","agent":"10.1.2.3:8080"}`); err != nil {
			t.Fatal(err)
		}
	}
	stopNATS(srv)
	flipBit(t, dir, "worker-150")

	again := startProxy(t, startNATS(t, dir, -1), proxyd.Config{})
	await(t, again.proxy.Ready())
	for _, path := range []string{"/v1/workers", "/workers/get"} {
		p := again.must(503, "GET", path, "").problem(t)
		if !strings.Contains(p.Detail, "bucket damrey_workers, worker-150;") {
			t.Errorf("%s does not name the entry: %s", path, p.Detail)
		}
	}
	again.must(201, "PUT", "/v1/workers/worker-150", "{}")
	list, err := again.client().Workers(t.Context())
	if err != nil || len(list.Workers) != 300 {
		t.Errorf("after putting it again: %d workers, %v", len(list.Workers), err)
	}
}

// flipBit damages the message that has this text in its payload.
func flipBit(t *testing.T, dir, text string) {
	t.Helper()
	var flipped bool
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".blk") {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		i := bytes.Index(data, []byte(`"name":"`+text))
		if i < 0 {
			return nil
		}
		data[i] ^= 1
		flipped = true
		return os.WriteFile(path, data, 0o600)
	})
	if err != nil || !flipped {
		t.Fatalf("flipped %v, %v", flipped, err)
	}
}
