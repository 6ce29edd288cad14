package agentd

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/rs/zerolog"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/dirlock"
)

const (
	idFile     = "id"
	recordFile = "fabric.json"
	tableFile  = "table.json"
	// formerTableFile is the table of a bucket that was made anew with fewer rows: maybe all that is left of them.
	formerTableFile = "table-former.json"
)

var idPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{16,64}$`)

// state is an agent's data directory. Its files may be written by different goroutines, each by one.
type state struct {
	dir  string
	lock dirlock.Lock
	log  zerolog.Logger
	id   string // random, made once
}

// record is what an agent remembers of its last time.
type record struct {
	// Name that it had, since a directory may be given to an agent of another name.
	Name string `json:"name"`
	// Held is whether it was the holder of its name when it last knew.
	Held bool `json:"held"`
	// Fabric as the proxy last described it.
	Fabric api.Fabric `json:"fabric"`
}

// openState makes the directory when it is not there, and claims it for this process.
func openState(dir string, log zerolog.Logger) (*state, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, dirError(dir, err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	s := &state{dir: dir, lock: lock, log: log}
	if s.id, err = s.loadID(); err != nil {
		lock.Release()
		return nil, err
	}
	return s, nil
}

func (s *state) close() { s.lock.Release() }

func dirError(dir string, err error) error {
	return fmt.Errorf("%w: %s: %w; make it writable, or choose another directory with --data", ErrDir, dir, err)
}

// loadID reads the id, and makes one when there is none or the file is broken.
func (s *state) loadID() (string, error) {
	var id string
	err := s.read(idFile, func(data []byte) error {
		if id = strings.TrimSpace(string(data)); !idPattern.MatchString(id) {
			return errors.New("an id has 16 to 64 letters and digits")
		}
		return nil
	})
	if err == nil {
		return id, nil
	}
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errBroken) {
		return "", dirError(s.dir, err)
	}
	id = rand.Text()
	return id, s.write(idFile, []byte(id+"\n"))
}

// loadRecord is the zero record when there is none.
func (s *state) loadRecord() (record, error) {
	var r record
	err := s.readJSON(recordFile, &r)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errBroken) {
		return record{}, nil
	}
	return r, err
}

func (s *state) saveRecord(r record) error { return s.writeJSON(recordFile, r) }

// read gives a file to parse. One that cannot be parsed is reported and set aside, and the error is errBroken.
func (s *state) read(name string, parse func([]byte) error) error {
	data, err := os.ReadFile(s.path(name))
	if err != nil {
		return err
	}
	if err := parse(data); err != nil {
		s.setAside(name, err)
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	return nil
}

func (s *state) readJSON(name string, into any) error {
	return s.read(name, func(data []byte) error { return json.Unmarshal(data, into) })
}

func (s *state) setAside(name string, why error) {
	aside := s.path(name) + ".broken"
	e := s.log.Error().Err(why).Str("file", s.path(name))
	if err := os.Rename(s.path(name), aside); err != nil {
		e.AnErr("not_moved", err).Msg("a file of the agent is broken; going on without it")
		return
	}
	e.Str("moved_to", aside).Msg("a file of the agent is broken; going on without it")
}

func (s *state) writeJSON(name string, doc any) error {
	data, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("agentd: %s: %w", name, err)
	}
	return s.write(name, append(data, '\n'))
}

// write replaces a file so that whoever reads it, even after a crash, finds the old one or the new one whole.
func (s *state) write(name string, data []byte) error {
	temp := s.path(name) + ".new" // a crash leaves it behind, and the next write begins it anew
	if err := writeSynced(temp, data); err != nil {
		return dirError(s.dir, err)
	}
	if err := os.Rename(temp, s.path(name)); err != nil {
		return dirError(s.dir, err)
	}
	return nil
}

func writeSynced(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

func (s *state) path(name string) string { return filepath.Join(s.dir, name) }
