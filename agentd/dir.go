package agentd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// dir is where the agent keeps its files.
func (c Config) dir() (string, error) {
	if c.Dir != "" {
		return c.Dir, nil
	}
	data := os.Getenv("XDG_DATA_HOME")
	if !filepath.IsAbs(data) { // the XDG base directory specification has relative ones ignored
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("%w: there is no default for it: %w; name one with --data", ErrDir, err)
		}
		data = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(data, "damrey", "agent-"+fileName(c.Name)), nil
}

// fileName replaces what some file system does not like. Two names may become one; the lock and the name in the files
// tell them apart.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '.':
			return r
		}
		return '_'
	}, name)
}
