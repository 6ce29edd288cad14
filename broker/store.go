package broker

import (
	"fmt"
	"os"

	"github.com/damrey/damrey/internal/dirlock"
)

// memoryStore bounds a store that lives in a temporary directory: enough to try everything, too little to fill a disk.
const memoryStore = 256 << 20

// store is the directory JetStream writes to while a broker runs.
type store struct {
	dir  string
	lock dirlock.Lock
	temp bool
}

// openStore claims dir, or makes a temporary directory when it is empty.
func openStore(dir string) (store, error) {
	temp := dir == ""
	if temp {
		made, err := os.MkdirTemp("", "damrey-broker-")
		if err != nil {
			return store{}, fmt.Errorf("%w: no temporary directory: %w; choose a directory with --data", ErrDir, err)
		}
		dir = made
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return store{}, fmt.Errorf("%w: %w; choose another directory with --data", ErrDir, err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		if temp {
			_ = os.RemoveAll(dir)
		}
		return store{}, err
	}
	return store{dir: dir, lock: lock, temp: temp}, nil
}

// close gives the directory up. Call it when the server is gone.
func (s store) close() error {
	s.lock.Release()
	if !s.temp {
		return nil
	}
	if err := os.RemoveAll(s.dir); err != nil {
		return fmt.Errorf("%w: remove the temporary directory: %w", ErrDir, err)
	}
	return nil
}

// checkStore finds out whether a broker could start on dir now, and leaves it unclaimed.
func checkStore(dir string) error {
	if dir == "" {
		return nil
	}
	s, err := openStore(dir)
	if err != nil {
		return err
	}
	return s.close()
}
