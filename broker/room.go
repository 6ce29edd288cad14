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
	// roomLook is how often it is looked whether there is room.
	roomLook = time.Second
)

// errRoomAgain ends a server that is to be started anew.
var errRoomAgain = errors.New("broker: there is room again")

// lacksRoom says that a write failed for lack of room: on the disk, in a quota, or by the process's limit of a file's size.
func lacksRoom(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// awaitRoom returns errRoomAgain when there is room, and nil when ctx ends before. The server serves meanwhile as far as
// it can.
func (e *embedded) awaitRoom(ctx context.Context, dir string, cause error) error {
	e.setTrouble(fmt.Errorf("%w: %s: %w; make room there, the broker goes on by itself then", ErrNoRoom, dir, cause))
	defer e.setTrouble(nil)
	e.log.Error().Err(cause).Str("dir", dir).Msg("no room is left where the broker stores; until there is, nothing is stored and senders are told so")
	tick := time.NewTicker(roomLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if tryRoom(dir) == nil {
			e.log.Warn().Str("dir", dir).Msg("there is room again; the broker starts anew")
			return errRoomAgain
		}
	}
}

// tryRoom writes as much as is needed, and takes it away again.
func tryRoom(dir string) error {
	path := filepath.Join(dir, ".room")
	err := os.WriteFile(path, make([]byte, roomNeeded), 0o600)
	return errors.Join(err, os.Remove(path))
}
