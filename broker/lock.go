package broker

import (
	"errors"
	"fmt"

	"github.com/damrey/damrey/internal/dirlock"
)

const lockName = "damrey.lock"

// lockDir claims a store: two servers on one destroy it, and nats-server does not look.
func lockDir(dir string) (dirlock.Lock, error) {
	lock, err := dirlock.Take(dir, lockName)
	if held, ok := errors.AsType[*dirlock.HeldError](err); ok {
		return lock, fmt.Errorf("%w: %s: stop that one, or choose another directory with --data", ErrDir, held.By("broker"))
	}
	if err != nil {
		return lock, fmt.Errorf("%w: %w; choose another directory with --data", ErrDir, err)
	}
	return lock, nil
}
