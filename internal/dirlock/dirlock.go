// Package dirlock lets one process claim a directory. The operating system holds the claim, so it ends with the process,
// however that ends; the lock file stays, and what it says is only for people.
package dirlock

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// errLocked is what the operating system's lock says when another open file holds it.
var errLocked = errors.New("locked by another process")

// Lock is a claim of this process.
type Lock struct{ file *os.File }

// HeldError says that another process has the directory. PID is 0 when it is not known.
type HeldError struct {
	Dir string
	PID int
}

func (e *HeldError) Error() string { return e.By("process") }

// By says it of a holder that is known to be a program of some kind, such as an agent.
func (e *HeldError) By(kind string) string {
	text := e.Dir + " belongs to a running " + kind
	if e.PID != 0 {
		text += fmt.Sprintf(" (pid %d)", e.PID)
	}
	return text
}

// Take claims dir by the file of the given name in it. The error is a *[HeldError] when another process has it.
func Take(dir, name string) (Lock, error) {
	path := filepath.Join(dir, name)
	file, err := openLocked(path)
	if errors.Is(err, errLocked) {
		return Lock{}, &HeldError{Dir: dir, PID: owner(path)}
	}
	if err != nil {
		return Lock{}, fmt.Errorf("lock %s: %w", path, err)
	}
	lock := Lock{file}
	if err := lock.sign(); err != nil {
		lock.Release()
		return Lock{}, fmt.Errorf("write %s: %w", path, err)
	}
	return lock, nil
}

// sign leaves this process's id for whoever comes next.
func (l Lock) sign() error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// Release ends the claim. The text goes first, so that nobody is told of a process that is long gone.
func (l Lock) Release() {
	_ = l.file.Truncate(0)
	_ = l.file.Close()
}

// owner reads the process from a lock file, as far as one can be read there.
func owner(path string) int {
	text, err := os.ReadFile(path)
	pid, convErr := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || convErr != nil {
		return 0
	}
	return pid
}
