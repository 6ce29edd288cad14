package chaos

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	fullTime = 6 * time.Second
	noRoom   = 4 << 10 // bytes that a file may have while the disk is full
)

// diskFull lets one node write no file any more, by its own limit, which is there on every machine.
func diskFull(ctx context.Context, s *site, h *happened, random *rand.Rand) error {
	n := s.nodes[random.IntN(len(s.nodes))]
	h.at(n.name)
	if err := n.limit(noRoom); err != nil {
		return err
	}
	sleep(ctx, fullTime)
	return n.limit(^uint64(0))
}

// corruptBlock flips a byte of what a node has stored, while the node is down.
func corruptBlock(ctx context.Context, s *site, h *happened, random *rand.Rand) error {
	n := s.nodes[random.IntN(len(s.nodes))]
	share := random.Float64()
	h.at(n.name)
	if err := n.stop(); err != nil {
		return err
	}
	file, where, err := flip(n.data, share)
	if err != nil {
		return errors.Join(err, n.start(ctx))
	}
	h.target = fmt.Sprintf("%s, byte %d of %s", n.name, where, file)
	return n.start(ctx)
}

// flip a byte of the largest block of a stream of jobs, at this share of its length.
func flip(data string, share float64) (file string, where int, err error) {
	var size int64
	err = filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".blk") || !strings.Contains(path, "_JOBS_") {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > size {
			file, size = path, info.Size()
		}
		return err
	})
	if err != nil {
		return "", 0, err
	}
	if file == "" {
		return "", 0, fmt.Errorf("%s has no block of a stream of jobs", data)
	}
	bytes, err := os.ReadFile(file)
	if err != nil {
		return "", 0, err
	}
	where = int(share * float64(len(bytes)))
	bytes[where] ^= 0xff
	rel, err := filepath.Rel(data, file)
	if err != nil {
		return "", 0, err
	}
	return rel, where, os.WriteFile(file, bytes, 0o600)
}
