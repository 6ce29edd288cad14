package broker

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	// roomLook is how often a server of a cluster looks whether it can go on writing.
	roomLook = 20 * time.Millisecond
	// leastRoom must be free on its disk, or leastShare of a small one: it leaves before a write fails.
	leastRoom  = 64 << 20
	leastShare = 16
	// probeSize is written each time, for what is not seen in the free room: a quota, a limit, a disk that fails.
	probeSize = 64 << 10
)

// watchRoom tells unable once when the directory of a server of a cluster has too little room, or cannot be written. The
// server itself finds that out a write too late, see leave.
func watchRoom(ctx context.Context, dir string, unable chan<- error) {
	path := filepath.Join(dir, ".room")
	file, err := os.Create(path)
	if err != nil {
		return // the server has looked at the directory; what it finds from now on it says
	}
	defer func() { _ = file.Close(); _ = os.Remove(path) }()
	bytes := make([]byte, probeSize)
	lookEvery(ctx, roomLook, func() (over bool) {
		err := probe(dir, file, bytes)
		if err == nil {
			return false
		}
		select {
		case unable <- err:
		default: // it is known
		}
		return true
	})
}

// probe writes bytes to the file from its beginning.
func probe(dir string, file *os.File, bytes []byte) error {
	if err := checkRoom(dir, 1); err != nil {
		return err
	}
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.WriteAt(bytes, 0)
	return err
}

// checkRoom is an error when less is free than times the least. Where that is not told, it is none.
func checkRoom(dir string, times uint64) error {
	used, total, err := diskOf(dir)
	if err != nil {
		return nil
	}
	return lackOfRoom(used, total, times)
}

func lackOfRoom(used, total, times uint64) error {
	if free, least := total-used, times*min(leastRoom, total/leastShare); free < least {
		return fmt.Errorf("%.1f MB are free on its disk, and a server of a cluster needs %.1f MB", megabytes(free), megabytes(least))
	}
	return nil
}

func megabytes(bytes uint64) float64 { return float64(bytes) / (1 << 20) }
