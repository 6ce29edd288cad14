package snapshot_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey/internal/bucket"
	"github.com/damrey/damrey/internal/snapshot"
)

func start(t *testing.T) jetstream.JetStream {
	t.Helper()
	return startIn(t, t.TempDir())
}

func startIn(t *testing.T, dir string) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(connect(t, &server.Options{DontListen: true, NoSigs: true, NoLog: true, JetStream: true, StoreDir: dir}))
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func connect(t *testing.T, opts *server.Options) *nats.Conn {
	t.Helper()
	srv, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(20 * time.Second) {
		t.Fatal("server is not ready")
	}
	nc, err := nats.Connect("", nats.InProcessServer(srv))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// fill makes the streams of two fabrics, of which one's name begins as the other's.
func fill(t *testing.T, js jetstream.JetStream, message []byte) {
	t.Helper()
	for _, prefix := range []string{"a", "a_b"} {
		if err := errors.Join(bucket.Ensure(t.Context(), js, prefix), bucket.EnsureDead(t.Context(), js, prefix),
			bucket.EnsureJobs(t.Context(), js, prefix, "w", bucket.Limits{})); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			if _, err := js.Publish(t.Context(), prefix+".job.w.x.src", message); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func backup(t *testing.T, js jetstream.JetStream, prefix string) (snapshot.Manifest, []byte) {
	t.Helper()
	held, err := snapshot.Streams(t.Context(), js, prefix)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, h := range held {
		names = append(names, h.Name)
	}
	var file bytes.Buffer
	m, err := snapshot.Write(t.Context(), js.Conn(), prefix, names, &file, func(string, int64) {})
	if err != nil {
		t.Fatal(err)
	}
	return m, file.Bytes()
}

// restore puts a backup back where nobody else is.
func restore(t *testing.T, js jetstream.JetStream, prefix string, file []byte) (done []snapshot.Restored, err error) {
	t.Helper()
	b, err := snapshot.Verify(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	target := snapshot.NewTarget(js, prefix, nil, false)
	if err := target.Check(t.Context(), b); err != nil {
		return nil, err
	}
	err = target.Restore(t.Context(), b, bytes.NewReader(file), func(r snapshot.Restored) { done = append(done, r) })
	return done, err
}

func TestWrite_TakesOneFabricAlone(t *testing.T) {
	t.Parallel()
	js := start(t)
	fill(t, js, bytes.Repeat([]byte("0123456789abcdef"), 40_000)) // several chunks
	for prefix, want := range map[string]string{
		"a":   "A_JOBS_w A_TRIED A_DEAD KV_a_workers",
		"a_b": "A_B_JOBS_w A_B_TRIED A_B_DEAD KV_a_b_workers",
	} {
		m, file := backup(t, js, prefix)
		var names []string
		for _, s := range m.Streams {
			names = append(names, s.Name)
		}
		if got := strings.Join(names, " "); got != want || m.Streams[0].Messages != 20 {
			t.Errorf("%s: %s with %d jobs", prefix, got, m.Streams[0].Messages)
		}
		read, err := snapshot.Verify(bytes.NewReader(file))
		if err != nil || len(read.Streams) != len(m.Streams) || read.Manifest.Check(prefix) != nil {
			t.Errorf("%s: read back: %v", prefix, err)
		}
		other := start(t)
		if _, err := restore(t, other, prefix, file); err != nil {
			t.Fatal(err)
		}
		if restored, _ := backup(t, other, prefix); restored.Streams[0].Messages != 20 {
			t.Errorf("%s: %d jobs were restored", prefix, restored.Streams[0].Messages)
		}
		_, err = restore(t, other, prefix, file)
		if err == nil || !strings.Contains(err.Error(), "20 messages came into it meanwhile") {
			t.Errorf("%s: restored over what is there: %v", prefix, err)
		}
	}
}

func TestWrite_RefusesAStreamTwice(t *testing.T) {
	t.Parallel()
	js := start(t)
	fill(t, js, []byte("message"))
	_, err := snapshot.Write(t.Context(), js.Conn(), "a", []string{"A_DEAD", "A_JOBS_w", "A_DEAD"}, io.Discard, func(string, int64) {})
	if err == nil || !strings.Contains(err.Error(), "A_DEAD is named twice") {
		t.Errorf("got %v", err)
	}
}

func TestVerify_FindsEveryDamage(t *testing.T) {
	t.Parallel()
	js := start(t)
	fill(t, js, []byte("message"))
	want, file := backup(t, js, "a")
	end := len(file) - 1024 - 512 + 64 // the last sum; what follows it fills up its block, and two empty blocks end a tar
	for n := 0; n < end; n += 97 {
		if _, err := snapshot.Verify(bytes.NewReader(file[:n])); !errors.Is(err, snapshot.ErrDamaged) {
			t.Fatalf("cut off after %d of %d bytes: %v", n, len(file), err)
		}
	}
	harmless := 0
	for n := 0; n < len(file); n += 7 {
		flipped := bytes.Clone(file)
		flipped[n] ^= 1 << (n % 8)
		got, err := snapshot.Verify(bytes.NewReader(flipped))
		switch {
		case errors.Is(err, snapshot.ErrDamaged):
		case err == nil && reflect.DeepEqual(got.Streams[0].SHA256, want.Streams[0].SHA256) && len(got.Streams) == len(want.Streams):
			harmless++ // what fills up a block of the tar
		default:
			t.Fatalf("a bit flipped in byte %d: %v", n, err)
		}
	}
	if harmless == len(file)/7 {
		t.Error("no flipped bit was found")
	}
}

func TestVerify_TellsWhatIsNoBackup(t *testing.T) {
	t.Parallel()
	var other bytes.Buffer
	w := tar.NewWriter(&other)
	if err := errors.Join(w.WriteHeader(&tar.Header{Name: "photos/1.jpg", Mode: 0o600}), w.Close()); err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{
		"a short text": "name: bank\n", "a long text": strings.Repeat("name: bank\n", 1000), "a tar of others": other.String(),
	} {
		if _, err := snapshot.Verify(strings.NewReader(file)); !errors.Is(err, snapshot.ErrNoBackup) || !strings.Contains(err.Error(), `begins with "`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestManifest_Check(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		m    snapshot.Manifest
		is   error
		says string
	}{
		"ours":   {snapshot.Manifest{Version: snapshot.Version, Prefix: "a"}, nil, ""},
		"newer":  {snapshot.Manifest{Version: snapshot.Version + 1, Prefix: "a"}, snapshot.ErrVersion, "upgrade damrey"},
		"older":  {snapshot.Manifest{Version: 0, Prefix: "a"}, snapshot.ErrVersion, "it has version 0"},
		"prefix": {snapshot.Manifest{Version: snapshot.Version, Prefix: "b"}, snapshot.ErrPrefix, "use --prefix b"},
	} {
		err := c.m.Check("a")
		if !errors.Is(err, c.is) || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
