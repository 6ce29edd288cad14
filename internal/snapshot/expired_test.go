package snapshot_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey/internal/snapshot"
)

// expiring has three jobs with three markers that end after a second, and a dead letter that ends after a second.
func expiring(t *testing.T) jetstream.JetStream {
	t.Helper()
	js := start(t)
	fill(t, js, []byte("message"))
	dead, err := js.Stream(t.Context(), "A_DEAD")
	if err != nil {
		t.Fatal(err)
	}
	cfg := dead.CachedInfo().Config
	cfg.MaxAge, cfg.Duplicates = time.Second, time.Second
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*nats.Msg{
		{Subject: "a.id.w.one", Header: nats.Header{jetstream.MsgTTLHeader: {"1s"}}},
		{Subject: "a.id.w.two", Header: nats.Header{jetstream.MsgTTLHeader: {"1"}}},
		{Subject: "a.id.w.long", Header: nats.Header{jetstream.MsgTTLHeader: {"1h"}}},
		{Subject: "a.id.w.ever", Header: nats.Header{jetstream.MsgTTLHeader: {"never"}}},
		{Subject: "a.dead.w.x.src", Data: []byte("letter")},
	} {
		if _, err := js.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	return js
}

func stored(t *testing.T, js jetstream.JetStream, name string) uint64 {
	t.Helper()
	s, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

// awaitExpired waits until what ends after a second has ended where it was stored first.
func awaitExpired(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); stored(t, js, "A_JOBS_w") != 22 || stored(t, js, "A_DEAD") != 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d jobs, %d letters are there", stored(t, js, "A_JOBS_w"), stored(t, js, "A_DEAD"))
		}
	}
}

func TestRestore_LeavesAwayWhatHasExpired(t *testing.T) {
	t.Parallel()
	js := expiring(t)
	m, file := backup(t, js, "a")
	if m.Streams[0].Messages != 24 {
		t.Fatalf("%d messages are in the backup", m.Streams[0].Messages)
	}
	awaitExpired(t, js)
	other := start(t)
	done, err := restore(t, other, "a", file)
	if err != nil {
		t.Fatal(err)
	}
	if len(done) != 4 || done[0] != (snapshot.Restored{Name: "A_JOBS_w", Messages: 22, Expired: 2}) {
		t.Errorf("restored %+v", done)
	}
	if dead := done[2]; dead.Name != "A_DEAD" || dead.Messages+dead.Expired != 1 { // by age they go a moment later
		t.Errorf("restored %+v", dead)
	}
	if n := stored(t, other, "A_JOBS_w"); n != 22 {
		t.Errorf("%d are there", n)
	}
}

// A stream that was made to hold fewer messages than the backup has loses some, which have not expired.
func TestRestore_FindsALossBesideWhatHasExpired(t *testing.T) {
	t.Parallel()
	js := expiring(t)
	_, file := backup(t, js, "a")
	awaitExpired(t, js)
	file = repack(t, file, func(m *snapshot.Manifest, _ map[string][]byte) {
		m.Streams[0].Config = bytes.Replace(m.Streams[0].Config, []byte(`"max_msgs":-1`), []byte(`"max_msgs":21`), 1)
		m.Streams[0].Config = bytes.Replace(m.Streams[0].Config, []byte(`"discard":"new"`), []byte(`"discard":"old"`), 1)
	})
	_, err := restore(t, start(t), "a", file)
	if err == nil || !strings.Contains(err.Error(), "21 messages are there, and the backup has 22 that have not expired") {
		t.Errorf("got %v", err)
	}
}

// Servers before 2.15 wrote the files of their store: what has expired of them is not told from what is lost.
func TestRestore_TakesBackupsOfOlderServers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	js := startIn(t, dir)
	fill(t, js, []byte("message"))
	_, file := backup(t, js, "a")
	js.Conn().Close()
	older := make(map[string][]byte)
	for _, name := range []string{"A_JOBS_w", "A_TRIED", "A_DEAD", "KV_a_workers"} {
		older[name] = filesOf(t, filepath.Join(dir, "jetstream", server.DEFAULT_GLOBAL_ACCOUNT, "streams", name))
	}
	asOlder := func(messages uint64) []byte {
		return repack(t, file, func(m *snapshot.Manifest, chunks map[string][]byte) {
			maps.Copy(chunks, older)
			m.Streams[0].Messages = messages
		})
	}
	done, err := restore(t, start(t), "a", asOlder(20))
	if err != nil || len(done) != 4 || done[0] != (snapshot.Restored{Name: "A_JOBS_w", Messages: 20}) {
		t.Errorf("restored %+v, %v", done, err)
	}
	done, err = restore(t, start(t), "a", asOlder(23))
	if err != nil || len(done) != 4 || done[0] != (snapshot.Restored{Name: "A_JOBS_w", Messages: 20, Expired: 3}) {
		t.Errorf("with three that have expired: %+v, %v", done, err)
	}
}

// filesOf is what a server before 2.15 makes of a stream.
func filesOf(t *testing.T, dir string) []byte {
	t.Helper()
	var snap bytes.Buffer
	compressed := s2.NewWriter(&snap)
	archive := tar.NewWriter(compressed)
	for _, pattern := range []string{"meta.inf", "meta.sum", "msgs/*.blk"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s in %s: %v", pattern, dir, err)
		}
		for _, path := range found {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			name, err := filepath.Rel(dir, path)
			if err != nil {
				t.Fatal(err)
			}
			add(t, archive, filepath.ToSlash(name), data)
		}
	}
	if err := errors.Join(archive.Close(), compressed.Close()); err != nil {
		t.Fatal(err)
	}
	return snap.Bytes()
}

func add(t *testing.T, archive *tar.Writer, name string, data []byte) {
	t.Helper()
	err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(data)), Typeflag: tar.TypeReg})
	if err == nil {
		_, err = archive.Write(data)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// repack changes a backup and sums it up anew. A snapshot is one chunk then.
func repack(t *testing.T, file []byte, change func(*snapshot.Manifest, map[string][]byte)) []byte {
	t.Helper()
	var m snapshot.Manifest
	chunks := make(map[string][]byte)
	for in := tar.NewReader(bytes.NewReader(file)); ; {
		header, err := in.Next()
		if err == io.EOF {
			break
		}
		data, readErr := io.ReadAll(in)
		if err := errors.Join(err, readErr); err != nil {
			t.Fatal(err)
		}
		if rest, ok := strings.CutPrefix(header.Name, "streams/"); ok {
			name, _, _ := strings.Cut(rest, "/")
			chunks[name] = append(chunks[name], data...)
		} else if header.Name == "manifest.json" {
			if err := json.Unmarshal(data, &m); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range m.Streams { // compact, so that text can be looked for
		var compact bytes.Buffer
		if err := json.Compact(&compact, m.Streams[i].Config); err != nil {
			t.Fatal(err)
		}
		m.Streams[i].Config = compact.Bytes()
	}
	change(&m, chunks)
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	for i := range m.Streams {
		s := &m.Streams[i]
		data := chunks[s.Name]
		sum := sha256.Sum256(data)
		s.Chunks, s.Size, s.SHA256 = 1, int64(len(data)), hex.EncodeToString(sum[:])
		add(t, archive, "streams/"+s.Name+"/00000001", data)
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	add(t, archive, "manifest.json", text)
	add(t, archive, "manifest.sha256", []byte(hex.EncodeToString(sum[:])+"\n"))
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
