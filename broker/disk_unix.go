//go:build linux || darwin

package broker

import "syscall"

// diskOf counts as df does: what is kept for root is not there.
func diskOf(dir string) (used, total uint64, err error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return 0, 0, err
	}
	block := uint64(fs.Bsize)
	used = (fs.Blocks - fs.Bfree) * block
	return used, used + fs.Bavail*block, nil
}
