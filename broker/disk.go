package broker

import "errors"

// errNoDisk is of a broker that keeps nothing.
var errNoDisk = errors.New("broker: it keeps nothing on a disk")

// Disk says how many bytes of the file system with the broker's directory are used, and how many there are for it. An
// error when it has no directory, or this system does not tell.
func (b *Broker) Disk() (used, total uint64, err error) {
	if b.cfg.Dir == "" {
		return 0, 0, errNoDisk
	}
	return diskOf(b.cfg.Dir)
}
