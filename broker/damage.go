package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// damage is where the files of one copy of a stream stop being sound.
type damage struct {
	stream string
	dir    string // of its blocks
	block  int    // the first that is not sound; they are counted from 1
	sound  int    // how many bytes of it are
	later  []int  // the blocks after it
}

// rollBack takes what is not sound out of the copies of streams in a cluster, with all that was stored after it, before the
// server looks at them. A copy that ends early is what a server that was away has: its log and the leader bring the rest.
//
// nats-server 2.15.2 cuts a block off where it finds a record that is not sound, and goes on with the blocks after it. Nobody
// misses what was between: once this copy's server leads the stream or one of its consumers, the consumer passes over it,
// and then it is removed from all copies as though it had been handled.
//
// What is taken out is kept beside the streams, unless there is no room. Should no server have a whole copy, a file of the name
// leaveDamage keeps what is there as it is.
func (b *Broker) rollBack(ctx context.Context, dir string) error {
	if !b.clustered {
		return nil // there is no other copy; the server keeps what it can read
	}
	kept := filepath.Join(dir, "damaged")
	if _, err := os.Stat(filepath.Join(kept, leaveDamage)); err == nil {
		b.log.Warn().Str("file", filepath.Join(kept, leaveDamage)).Msg("copies of streams are not looked at for damage, since this file says so")
		return nil
	}
	found, err := findDamage(ctx, filepath.Join(dir, "jetstream"))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDir, err)
	}
	for _, d := range found {
		aside := filepath.Join(kept, d.stream+"-"+time.Now().UTC().Format("20060102T150405.000"))
		b.log.Error().Str("stream", d.stream).Int("block", d.block).Int("byte", d.sound).Str("kept", aside).
			Msg("a block of this copy of a stream is damaged; the copy goes back to before that, and gets the rest from the other servers")
		if err := d.moveAside(aside); err != nil {
			return fmt.Errorf("%w: stream %s is damaged: %w", ErrDir, d.stream, err)
		}
	}
	return nil
}

const leaveDamage = "leave"

// findDamage reads every block of every stream that has copies.
func findDamage(ctx context.Context, root string) (found []damage, err error) {
	for _, stream := range within(root, "*/streams/*") {
		d, err := inspect(ctx, filepath.Join(root, filepath.FromSlash(stream)))
		if err != nil {
			return nil, err
		}
		if d != nil {
			found = append(found, *d)
		}
	}
	return found, nil
}

// inspect is nil for a copy that is sound, and for one that cannot be judged.
func inspect(ctx context.Context, dir string) (*damage, error) {
	var config struct {
		Name        string `json:"name"`
		Replicas    int    `json:"num_replicas"`
		Storage     string `json:"storage"`
		Compression string `json:"compression"`
	}
	if !readMeta(dir, &config) {
		return nil, nil // the server makes this copy anew
	}
	if config.Replicas < 2 || config.Storage != "file" || config.Compression != "" && config.Compression != "none" {
		return nil, nil
	}
	d := &damage{stream: config.Name, dir: filepath.Join(dir, "msgs")}
	numbers, err := blocksIn(d.dir)
	if err != nil {
		return nil, err
	}
	known := false // records are written as they are read here
	for i, number := range numbers {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		block, err := os.ReadFile(d.path(number))
		if err != nil {
			return nil, err
		}
		if bytes.HasPrefix(block, compressed) {
			return nil, nil // it was once
		}
		sound, err := soundLength(d.stream, number, block)
		if err != nil {
			return nil, err
		}
		known = known || sound > 0
		if sound < len(block) && d.block == 0 {
			d.block, d.sound, d.later = number, sound, numbers[i+1:]
		}
		if known && d.block != 0 {
			return d, nil
		}
	}
	return nil, nil
}

func (d *damage) path(block int) string { return filepath.Join(d.dir, strconv.Itoa(block)+".blk") }

func blocksIn(dir string) (numbers []int, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".blk"); ok {
			if n, err := strconv.Atoi(name); err == nil {
				numbers = append(numbers, n)
			}
		}
	}
	slices.Sort(numbers)
	return numbers, err
}

// moveAside leaves the sound beginning. What the server has noted of the blocks goes too: it is of what they were.
func (d *damage) moveAside(aside string) error {
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return err
	}
	for _, number := range d.later {
		if err := os.Rename(d.path(number), filepath.Join(aside, filepath.Base(d.path(number)))); err != nil {
			return err
		}
	}
	if err := forgetNotes(d.dir); err != nil {
		return err
	}
	block, err := os.ReadFile(d.path(d.block))
	if err != nil {
		return err
	}
	rest := filepath.Join(aside, fmt.Sprintf("%d.blk.from-%d", d.block, d.sound))
	if os.WriteFile(rest, block[d.sound:], 0o600) != nil {
		_ = os.Remove(rest) // the other copies have what is in it
	}
	if d.sound == 0 {
		return os.Remove(d.path(d.block))
	}
	return os.Truncate(d.path(d.block), int64(d.sound))
}
