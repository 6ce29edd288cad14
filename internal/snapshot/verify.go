package snapshot

import (
	"archive/tar"
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
)

// maxEntry bounds what one entry may make us keep: the server's largest chunk, or a manifest of many streams.
const maxEntry = 64 << 20

// Backup is one that was read through and found whole.
type Backup struct {
	Manifest
	inside map[string]contents // by stream
}

// Verify reads a whole backup, checks every sum and looks at every message, so that nothing need be touched for one that
// is damaged.
func Verify(r io.Reader) (Backup, error) {
	in := bufio.NewReader(r)
	v := verifier{archive: tar.NewReader(in), seen: make(map[string]*seen)}
	start, _ := in.Peek(tarBlock) // what fails to be read does so below too
	v.advance()
	if err := v.noBackup(string(start)); err != nil {
		return Backup{}, err
	}
	for v.err == nil {
		if err := v.take(); err != nil {
			return Backup{}, err
		}
	}
	if !errors.Is(v.err, io.EOF) {
		return Backup{}, v.err
	}
	return v.backup()
}

// Where a tar says that it is one.
const (
	tarBlock   = 512
	tarMagic   = "ustar"
	tarMagicAt = 257
)

// noBackup says that the file is something else altogether, by its first entry. What was cut off in there, or has a bit
// that is wrong, is damaged: either its name or the mark of a tar is as it should be.
func (v *verifier) noBackup(start string) error {
	begins := func(text string) bool {
		return slices.ContainsFunc([]string{"streams/", manifestName}, func(name string) bool {
			return strings.HasPrefix(text, name) || strings.HasPrefix(name, text)
		})
	}
	switch {
	case v.err == nil && !begins(v.name):
		return fmt.Errorf("%w: it is a tar that begins with %q", ErrNoBackup, v.name)
	case errors.Is(v.err, tar.ErrHeader), errors.Is(v.err, io.ErrUnexpectedEOF):
		if isTar := strings.HasPrefix(start[min(len(start), tarMagicAt):], tarMagic); !isTar && !begins(start) {
			return fmt.Errorf("%w: it begins with %q", ErrNoBackup, start[:min(len(start), 16)])
		}
	}
	return nil
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
	if err == nil {
		return name, data, nil
	}
	if errors.Is(err, io.EOF) { // no end of the archive
		err = io.ErrUnexpectedEOF
	}
	return "", nil, fmt.Errorf("%w: %w", ErrDamaged, err)
}

// seen is what was read of one stream.
type seen struct {
	sum        hash.Hash
	size       int64
	chunks     int
	inside     contents
	unreadable error
}

// verifier stands at one entry.
type verifier struct {
	archive *tar.Reader
	name    string
	data    []byte
	err     error // why there is no entry

	seen      map[string]*seen
	text, sum []byte
}

func (v *verifier) advance() { v.name, v.data, v.err = entry(v.archive) }

// take goes on behind the entry, or behind all of a stream.
func (v *verifier) take() error {
	rest, chunk := strings.CutPrefix(v.name, "streams/")
	stream, _, ok := strings.Cut(rest, "/")
	switch {
	case v.name == manifestName:
		v.text = v.data
	case v.name == sumName:
		v.sum = v.data
	case chunk && ok:
		return v.stream(stream)
	default:
		return fmt.Errorf("%w: it holds %q, which no backup does", ErrDamaged, v.name)
	}
	v.advance()
	return nil
}

func (v *verifier) stream(name string) (err error) {
	if v.seen[name] != nil {
		return fmt.Errorf("%w: stream %s is in it twice", ErrDamaged, name)
	}
	s := &seen{sum: sha256.New()}
	v.seen[name] = s
	s.inside, err = read(func() ([]byte, error) {
		if v.err != nil {
			return nil, v.err
		}
		if !strings.HasPrefix(v.name, "streams/"+name+"/") {
			return nil, io.EOF
		}
		s.chunks++
		s.size += int64(len(v.data))
		_, _ = s.sum.Write(v.data) // a hash takes everything
		if want := chunkName(name, s.chunks); v.name != want {
			return nil, fmt.Errorf("%w: %q stands where %q is needed", ErrDamaged, v.name, want)
		}
		data := v.data
		v.advance()
		return data, nil
	})
	if errors.Is(err, ErrDamaged) {
		return err
	}
	s.unreadable = err // the sum tells first whether it is what was written
	return nil
}

func (v *verifier) backup() (b Backup, err error) {
	if v.text == nil || v.sum == nil {
		return b, fmt.Errorf("%w: its end is missing; the file was cut off, or is no backup", ErrDamaged)
	}
	if sum := sha256.Sum256(v.text); strings.TrimSpace(string(v.sum)) != hex.EncodeToString(sum[:]) {
		return b, fmt.Errorf("%w: the manifest does not match its sum", ErrDamaged)
	}
	if err := json.Unmarshal(v.text, &b.Manifest); err != nil {
		return b, fmt.Errorf("%w: the manifest: %w", ErrDamaged, err)
	}
	b.inside = make(map[string]contents)
	for _, s := range b.Streams {
		got := v.seen[s.Name]
		if got == nil {
			return b, fmt.Errorf("%w: stream %s is missing, or named twice", ErrDamaged, s.Name)
		}
		if got.size != s.Size || got.chunks != s.Chunks || hex.EncodeToString(got.sum.Sum(nil)) != s.SHA256 {
			return b, fmt.Errorf("%w: stream %s does not match its sum", ErrDamaged, s.Name)
		}
		if got.unreadable != nil {
			return b, fmt.Errorf("%w: stream %s: %w", ErrDamaged, s.Name, got.unreadable)
		}
		b.inside[s.Name] = got.inside
		delete(v.seen, s.Name)
	}
	if len(v.seen) > 0 {
		return b, fmt.Errorf("%w: it holds streams that its manifest does not name", ErrDamaged)
	}
	return b, nil
}
