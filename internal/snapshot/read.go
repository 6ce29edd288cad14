package snapshot

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// maxEntry bounds what one entry may make us keep: the server's largest chunk, or a manifest of many streams.
const maxEntry = 64 << 20

// Verify reads a whole backup and checks every sum, so that nothing need be touched for one that is damaged.
func Verify(r io.Reader) (Manifest, error) {
	v := verifier{seen: make(map[string]*seen)}
	archive := tar.NewReader(r)
	for {
		name, data, err := entry(archive)
		if err == io.EOF {
			return v.manifest()
		}
		if err != nil {
			return Manifest{}, err
		}
		if err := v.take(name, data); err != nil {
			return Manifest{}, err
		}
	}
}

// entry is io.EOF at the end of the archive.
func entry(archive *tar.Reader) (name string, data []byte, err error) {
	header, err := archive.Next()
	if err == io.EOF {
		return "", nil, err
	}
	if err == nil && header.Size > maxEntry {
		err = fmt.Errorf("entry %q has %d bytes", header.Name, header.Size)
	}
	if err == nil {
		name = header.Name
		data, err = io.ReadAll(archive)
	}
	if err != nil {
		return "", nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return name, data, nil
}

// seen is what was read of one stream.
type seen struct {
	sum    hash.Hash
	size   int64
	chunks int
}

type verifier struct {
	seen      map[string]*seen
	text, sum []byte
}

func (v *verifier) take(name string, data []byte) error {
	switch {
	case name == manifestName:
		v.text = data
		return nil
	case name == sumName:
		v.sum = data
		return nil
	}
	stream, _, ok := strings.Cut(strings.TrimPrefix(name, "streams/"), "/")
	if !ok || !strings.HasPrefix(name, "streams/") {
		return fmt.Errorf("%w: it holds %q, which no backup does", ErrDamaged, name)
	}
	s := v.seen[stream]
	if s == nil {
		s = &seen{sum: sha256.New()}
		v.seen[stream] = s
	}
	s.chunks++
	s.size += int64(len(data))
	_, _ = s.sum.Write(data) // a hash takes everything
	if want := chunkName(stream, s.chunks); name != want {
		return fmt.Errorf("%w: %q stands where %q is needed", ErrDamaged, name, want)
	}
	return nil
}

func (v *verifier) manifest() (m Manifest, err error) {
	if v.text == nil || v.sum == nil {
		return m, fmt.Errorf("%w: its end is missing; the file was cut off, or is no backup", ErrDamaged)
	}
	if sum := sha256.Sum256(v.text); strings.TrimSpace(string(v.sum)) != hex.EncodeToString(sum[:]) {
		return m, fmt.Errorf("%w: the manifest does not match its sum", ErrDamaged)
	}
	if err := json.Unmarshal(v.text, &m); err != nil {
		return m, fmt.Errorf("%w: the manifest: %w", ErrDamaged, err)
	}
	for _, s := range m.Streams {
		got := v.seen[s.Name]
		if got == nil {
			got = &seen{sum: sha256.New()}
		}
		if got.size != s.Size || got.chunks != s.Chunks || hex.EncodeToString(got.sum.Sum(nil)) != s.SHA256 {
			return m, fmt.Errorf("%w: stream %s does not match its sum", ErrDamaged, s.Name)
		}
		delete(v.seen, s.Name)
	}
	if len(v.seen) > 0 {
		return m, fmt.Errorf("%w: it holds streams that its manifest does not name", ErrDamaged)
	}
	return m, nil
}

// Restore puts every stream of a verified backup back. Where one of its name is, that is removed: if it is empty, as a
// proxy makes them, or if replace says so. done is told each. r is at its start.
func Restore(ctx context.Context, js jetstream.JetStream, m Manifest, r io.ReadSeeker, replace bool, done func(Stream)) error {
	c := chunks{file: r, archive: tar.NewReader(r)}
	for _, s := range m.Streams {
		if err := restore(ctx, js, s, replace, &c); err != nil {
			return fmt.Errorf("stream %s: %w", s.Name, err)
		}
		done(s)
	}
	return nil
}

// chunks are those of all streams, one after another.
type chunks struct {
	file    io.ReadSeeker
	archive *tar.Reader
	read    int // of them
}

// next is the one behind what was read.
func (c *chunks) next() ([]byte, error) {
	_, data, err := entry(c.archive)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	c.read++
	return data, err
}

// back goes to where so many had been read.
func (c *chunks) back(read int) error {
	if c.read == read {
		return nil
	}
	if _, err := c.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	c.archive, c.read = tar.NewReader(c.file), 0
	for c.read < read {
		if _, err := c.next(); err != nil {
			return err
		}
	}
	return nil
}

const (
	// codeExists is JetStream's for a stream that is there and cannot be restored by that; while the chunks came another
	// may have been made.
	codeExists = 10130
	attempts   = 5
)

// restore tries again when a proxy makes the stream in between.
func restore(ctx context.Context, js jetstream.JetStream, s Stream, replace bool, c *chunks) error {
	for begin, attempt := c.read, 1; ; attempt++ {
		if err := clearStream(ctx, js, s.Name, replace); err != nil {
			return err
		}
		if err := c.back(begin); err != nil {
			return err
		}
		messages, err := put(ctx, js.Conn(), s, func() ([]byte, error) {
			if c.read == begin+s.Chunks {
				return nil, nil
			}
			return c.next()
		})
		refusal, refused := errors.AsType[*jetstream.APIError](err)
		if refused && (refusal.ErrorCode == codeExists || refusal.ErrorCode == jetstream.JSErrCodeStreamNameInUse) && attempt < attempts {
			continue
		}
		if err == nil && messages != s.Messages {
			err = fmt.Errorf("%d messages are there, and the backup has %d", messages, s.Messages)
		}
		return err
	}
}

func clearStream(ctx context.Context, js jetstream.JetStream, name string, replace bool) error {
	stream, err := js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if n := stream.CachedInfo().State.Msgs; n > 0 && !replace {
		return fmt.Errorf("%d messages came into it meanwhile; stop what writes there", n)
	}
	err = js.DeleteStream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	return err
}
