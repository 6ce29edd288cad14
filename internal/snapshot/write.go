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

// stream counts what came: messages that were done meanwhile are not in it.
func (w *writer) stream(ctx context.Context, nc *nats.Conn, name string, progress func(string, int64)) (Stream, error) {
	s := Stream{Name: name}
	t, err := begin(ctx, nc, name)
	if err != nil {
		return s, err
	}
	defer t.end()
	sum := sha256.New()
	inside, err := read(func() ([]byte, error) {
		chunk, err := t.next(ctx)
		if err != nil {
			return nil, err
		}
		s.Chunks++
		s.Size += int64(len(chunk))
		_, _ = sum.Write(chunk) // a hash takes everything
		progress(name, s.Size)
		return chunk, w.entry(chunkName(name, s.Chunks), chunk)
	})
	if err != nil {
		return s, err
	}
	s.Config, s.State, s.SHA256 = t.config, t.state, hex.EncodeToString(sum.Sum(nil))
	s.Messages = inside.messages
	if inside.old {
		s.Messages, err = countOf(t.state)
	}
	return s, err
}

func countOf(state json.RawMessage) (uint64, error) {
	var counts struct {
		Messages uint64 `json:"messages"`
	}
	err := json.Unmarshal(state, &counts)
	return counts.Messages, err
}

func chunkName(stream string, n int) string { return fmt.Sprintf("streams/%s/%08d", stream, n) }
