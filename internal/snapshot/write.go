package snapshot

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

// The entries at the end of the tar.
const (
	manifestName = "manifest.json"
	sumName      = "manifest.sha256"
)

// Write writes a backup of these streams, one after another, and returns its manifest. Each stream is an entry a chunk, so
// that nothing need be kept on the way; what makes a file whole is its end.
func Write(ctx context.Context, nc *nats.Conn, prefix string, names []string, w io.Writer, progress func(name string, bytes int64)) (Manifest, error) {
	m := Manifest{Version: Version, Prefix: prefix, Time: time.Now().UTC(), Streams: []Stream{}}
	archive := &writer{tar: tar.NewWriter(w), time: m.Time}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return m, fmt.Errorf("stream %s is named twice", name)
		}
		s, err := archive.stream(ctx, nc, name, progress)
		if err != nil {
			return m, fmt.Errorf("stream %s: %w", name, err)
		}
		m.Streams = append(m.Streams, s)
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return m, err
	}
	sum := sha256.Sum256(text)
	if err := archive.entry(manifestName, text); err != nil {
		return m, err
	}
	if err := archive.entry(sumName, []byte(hex.EncodeToString(sum[:])+"\n")); err != nil {
		return m, err
	}
	return m, archive.tar.Close()
}

type writer struct {
	tar  *tar.Writer
	time time.Time
}

func (w *writer) entry(name string, data []byte) error {
	err := w.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(data)), ModTime: w.time})
	if err == nil {
		_, err = w.tar.Write(data)
	}
	return err
}

func (w *writer) stream(ctx context.Context, nc *nats.Conn, name string, progress func(string, int64)) (Stream, error) {
	s := Stream{Name: name}
	sum := sha256.New()
	config, state, err := take(ctx, nc, name, func(chunk []byte) error {
		s.Chunks++
		s.Size += int64(len(chunk))
		_, _ = sum.Write(chunk) // a hash takes everything
		progress(name, s.Size)
		return w.entry(chunkName(name, s.Chunks), chunk)
	})
	if err != nil {
		return s, err
	}
	s.Config, s.State, s.SHA256 = config, state, hex.EncodeToString(sum.Sum(nil))
	var counts struct {
		Messages uint64 `json:"messages"`
	}
	err = json.Unmarshal(state, &counts)
	s.Messages = counts.Messages
	return s, err
}

func chunkName(stream string, n int) string { return fmt.Sprintf("streams/%s/%08d", stream, n) }
