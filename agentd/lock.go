package agentd

import (
	"errors"
	"fmt"

	"github.com/damrey/damrey/internal/dirlock"
)

const lockFile = "agent.lock"

// lockDir claims a data directory: two agents of one id would take each other's name.
func lockDir(dir string) (dirlock.Lock, error) {
	lock, err := dirlock.Take(dir, lockFile)
	if held, ok := errors.AsType[*dirlock.HeldError](err); ok {
		return lock, fmt.Errorf("%w: %s; stop that one, or choose another directory with --data", ErrDir, held.By("agent"))
	}
	if err != nil {
		return lock, dirError(dir, err)
	}
	return lock, nil
}
