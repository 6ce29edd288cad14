package broker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

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

// checkHistory refuses a directory whose streams were made the other way: a cluster removes those of a server that was
// alone half a minute after it has formed (nats-server 2.15.2: "Detected orphaned stream, will cleanup"), and a server
// alone would change those of a cluster behind the back of the others.
func checkHistory(dir string, cluster Cluster) error {
	if dir == "" {
		return nil
	}
	root := filepath.Join(dir, "jetstream")
	clustered := hasEntries(filepath.Join(root, "$SYS", "_js_", "_meta_"))
	switch {
	case cluster.Name == "" && clustered:
		return fmt.Errorf("%w: %s is that of one of a cluster: start it with --cluster and --routes as before, or choose another directory with --data",
			ErrDir, dir)
	case cluster.Name != "" && !clustered && hasEntries(filepath.Join(root, globalAccount, "streams")):
		return fmt.Errorf("%w: %s has what a broker alone has stored, and joining the cluster %s would delete it: "+
			"start it alone once more for `damrey backup FILE`, choose a new directory with --data, and `damrey restore FILE` into the cluster", ErrDir, dir, cluster.Name)
	}
	return nil
}

func hasEntries(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) > 0
}

// checkStore finds out whether a broker could start on dir now, and leaves it unclaimed.
func checkStore(dir string, cluster Cluster) error {
	if dir == "" {
		return nil
	}
	if err := checkHistory(dir, cluster); err != nil {
		return err
	}
	s, err := openStore(dir)
	if err != nil {
		return err
	}
	return errors.Join(checkWritable(filepath.Join(dir, "jetstream")), s.close())
}

// checkWritable says what nats-server would, which names neither the directory nor a way out: a directory that another user
// made, or a file system that is read only. What passes, such as a full disk, is waited for when it runs.
func checkWritable(dir string) error {
	file, err := os.CreateTemp(dir, ".damrey-write-*")
	if errors.Is(err, fs.ErrNotExist) || passes(err) {
		return nil
	}
	if err == nil {
		err = errors.Join(file.Close(), os.Remove(file.Name()))
	}
	if err != nil {
		return fmt.Errorf("%w: %s cannot be written: %w; give it to the user that runs this, or choose another directory with --data", ErrDir, dir, err)
	}
	return nil
}
