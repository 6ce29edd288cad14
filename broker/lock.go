package broker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const lockName = "damrey.lock"

// errLocked is what the operating system's lock says when another open file holds it.
var errLocked = errors.New("locked by another process")

// dirLock is a process's claim of a data directory: two servers on one store destroy it, and nats-server does not look.
// The operating system holds the claim, so it ends with the process, however that ends; the file stays, and what it
// says is only for people.
type dirLock struct{ file *os.File }

func lockDir(dir string) (dirLock, error) {
	path := filepath.Join(dir, lockName)
	file, err := openLocked(path)
	if errors.Is(err, errLocked) {
		return dirLock{}, fmt.Errorf("%w: %s belongs to a running broker%s: stop that one, or choose another directory with --data",
			ErrDir, dir, holder(path))
	}
	if err != nil {
		return dirLock{}, fmt.Errorf("%w: lock %s: %w; choose another directory with --data", ErrDir, path, err)
	}
	lock := dirLock{file}
	if err := lock.sign(); err != nil {
		lock.release()
		return dirLock{}, fmt.Errorf("%w: write %s: %w; choose another directory with --data", ErrDir, path, err)
	}
	return lock, nil
}

// sign leaves this process's id for whoever comes next.
func (l dirLock) sign() error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// release ends the claim. The text goes first, so that nobody is told of a process that is long gone.
func (l dirLock) release() {
	_ = l.file.Truncate(0)
	_ = l.file.Close()
}

// holder names the process in the lock file, as far as one can be read there.
func holder(path string) string {
	text, err := os.ReadFile(path)
	pid, convErr := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || convErr != nil {
		return ""
	}
	return fmt.Sprintf(" (pid %d)", pid)
}
