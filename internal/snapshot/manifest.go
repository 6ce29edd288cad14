package snapshot

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Version of the files that this program writes, and the only one that it reads.
const Version = 1

// What may be wrong with a file.
var (
	ErrDamaged  = errors.New("the backup is damaged")                       // truncated, or not what was written
	ErrNoBackup = errors.New("this is no file that `damrey backup` writes") // its beginning says so already
	ErrVersion  = errors.New("the backup is of another version")
	ErrPrefix   = errors.New("the backup is of another fabric")
)

// Manifest is the last thing in a backup.
type Manifest struct {
	Version int       `json:"version"`
	Prefix  string    `json:"prefix"`
	Time    time.Time `json:"time"` // when it began
	Streams []Stream  `json:"streams"`
}

// Stream is one stream of a backup.
type Stream struct {
	Name     string          `json:"name"`
	Messages uint64          `json:"messages"`
	Size     int64           `json:"size"` // of its snapshot in bytes
	Chunks   int             `json:"chunks"`
	SHA256   string          `json:"sha256"` // of its snapshot
	Config   json.RawMessage `json:"config"`
	State    json.RawMessage `json:"state"`
}

// Check says whether a backup can be restored into the fabric of this prefix.
func (m Manifest) Check(prefix string) error {
	switch {
	case m.Version > Version:
		return fmt.Errorf("%w: it has version %d, and this program reads version %d; upgrade damrey", ErrVersion, m.Version, Version)
	case m.Version < Version:
		return fmt.Errorf("%w: it has version %d, and this program reads version %d; restore it with the damrey that wrote it", ErrVersion, m.Version, Version)
	case m.Prefix != prefix:
		return fmt.Errorf("%w: it is of %q, not of %q; use --prefix %s", ErrPrefix, m.Prefix, prefix, m.Prefix)
	}
	return nil
}
