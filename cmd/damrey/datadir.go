package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// dataDir is where a daemon of this name keeps what must outlive it.
func (a *app) dataDir(name string) (string, error) {
	base, ok := a.lookup("XDG_DATA_HOME")
	if ok && filepath.IsAbs(base) { // the XDG specification says to ignore a relative one
		return filepath.Join(base, "damrey", name), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no home directory to keep data in: %w; choose one with --data", err)
	}
	return filepath.Join(home, ".local", "share", "damrey", name), nil
}
