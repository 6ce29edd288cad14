package agentd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const lockFile = "agent.lock"

// errLocked is what the operating system's lock says when another open file holds it.
var errLocked = errors.New("locked by another process")

// dirLock is this process's claim of a data directory: two agents of one id would take each other's name. The operating
// system holds it, so it ends with the process, however that ends; what the file says is only for people.
type dirLock struct{ file *os.File }

func lockDir(dir string) (dirLock, error) {
	path := filepath.Join(dir, lockFile)
	file, err := openLocked(path)
	if errors.Is(err, errLocked) {
		return dirLock{}, fmt.Errorf("%w: %s belongs to a running agent%s; stop that one, or choose another directory with --data",
			ErrDir, dir, ownerIn(path))
	}
	if err != nil {
		return dirLock{}, dirError(dir, err)
	}
	lock := dirLock{file}
	if err := lock.sign(); err != nil {
		lock.release()
		return dirLock{}, dirError(dir, err)
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

// ownerIn names the process in a lock file, as far as one can be read there.
func ownerIn(path string) string {
	text, err := os.ReadFile(path)
	pid, convErr := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || convErr != nil {
		return ""
	}
	return fmt.Sprintf(" (pid %d)", pid)
}
