package broker

import (
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// SyncAlways is the Config.Sync that forces every message to the disk before it is acknowledged.
	SyncAlways = time.Nanosecond // shorter than any interval
	// MinSync is the shortest interval.
	MinSync = time.Millisecond
	// DefaultSync is the interval of a broker with a directory.
	DefaultSync = 100 * time.Millisecond
	// tempSync is nats-server's own interval, for a temporary directory: a power cut takes that anyway.
	tempSync = 2 * time.Minute
)

func defaultSync(dir string) time.Duration {
	if dir == "" {
		return tempSync
	}
	return DefaultSync
}

func checkSync(d time.Duration) error {
	if d != SyncAlways && d < MinSync {
		return fmt.Errorf("%w: Sync is %v: use %v or more, or SyncAlways; 0 is the default", ErrConfig, d, MinSync)
	}
	return nil
}

func setSync(o *server.Options, d time.Duration) {
	if d == SyncAlways {
		o.SyncAlways = true // and nats-server's own interval for what is not acknowledged
		return
	}
	o.SyncInterval = d
}
