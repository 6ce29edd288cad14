package broker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	// roomNeeded must be free before the server is started again.
	roomNeeded = 1 << 20
	// firstLook is how soon it is looked whether files can be written again; after a start that did not help, twice as late,
	// up to lastLook.
	firstLook = time.Second
	lastLook  = 10 * time.Second
	// enoughRoom is how many times the least room must be free before a server of a cluster comes back.
	enoughRoom = 2
	// helped is how long a start must have helped for the next look to be a first one.
	helped = time.Minute
)

// errWritesAgain ends a server that is to be started anew.
var errWritesAgain = errors.New("broker: files can be written again")

// passes says that a file could not be written for a reason that can pass: no room on the disk, in a quota, or by the
// process's limit of a file's size; no file descriptors; an error of the disk.
func passes(err error) bool {
	for _, reason := range []error{
		syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG, syscall.EMFILE, syscall.ENFILE, syscall.EIO,
	} {
		if errors.Is(err, reason) {
			return true
		}
	}
	return false
}

// awaitWrites returns errWritesAgain when files can be written, and nil when ctx or the server ends before. The server
// serves meanwhile as far as it can.
func (e *embedded) awaitWrites(ctx context.Context, dir string, every time.Duration, stopped <-chan struct{}) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-stopped:
			return nil
		case <-tick.C:
		}
		if tryToWrite(dir) == nil && (!e.clustered || checkRoom(dir, enoughRoom) == nil) {
			e.log.Warn().Str("dir", dir).Msg("files can be written again; the broker starts anew")
			return errWritesAgain
		}
	}
}

// sayTrouble is over when forget is called.
func (e *embedded) sayTrouble(dir string, cause error) (forget func()) {
	e.setTrouble(fmt.Errorf("%w: %s: %w; the broker goes on by itself when that has passed", ErrStore, dir, cause))
	meanwhile := "nothing is stored and senders are told so"
	if e.clustered {
		meanwhile = "the other servers of the cluster store"
	}
	e.log.Error().Err(cause).Str("dir", dir).Msg("the broker cannot write its files; until it can, " + meanwhile)
	return func() { e.setTrouble(nil) }
}

// tryToWrite writes as much as is needed, and takes it away again.
func tryToWrite(dir string) error {
	path := filepath.Join(dir, ".try")
	err := os.WriteFile(path, make([]byte, roomNeeded), 0o600)
	return errors.Join(err, os.Remove(path))
}
