package snapshot

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey/internal/bucket"
)

// Restored is a stream that was put back.
type Restored struct {
	Name     string
	Messages uint64 // that are there now
	Expired  uint64 // that the backup has and whose time was over
}

// Target is where a backup is restored.
type Target struct {
	js       jetstream.JetStream
	prefix   string
	held     []Held
	replicas int // of each stream; 0: as many as it had
	replace  bool
}

// NewTarget is the fabric of this prefix, of which these streams are there, the table's the last: the others get as many
// copies as it has. Replace removes streams that hold messages too.
func NewTarget(js jetstream.JetStream, prefix string, held []Held, replace bool) *Target {
	t := &Target{js: js, prefix: prefix, held: held, replace: replace}
	if len(held) > 0 {
		t.replicas = held[len(held)-1].Replicas
	}
	return t
}

// codeNoCluster is JetStream's for more than one copy at a server that is alone.
const codeNoCluster = 10074

// Check says whether the backup can be restored there, as far as that can be known before anything is removed: it makes
// a stream of as many copies, and removes it. It must come before Restore. A server that is alone gets one of each.
func (t *Target) Check(ctx context.Context, b Backup) error {
	if err := b.Manifest.Check(t.prefix); err != nil {
		return err
	}
	copies := t.replicas
	for _, s := range b.Streams {
		if t.replicas == 0 {
			n, err := replicasOf(s)
			if err != nil {
				return err
			}
			copies = max(copies, n)
		}
		if b.inside[s.Name].old {
			continue
		}
		if err := bucket.Needs(t.js.Conn().ConnectedServerVersion(), 2, 15, "backups of a nats-server 2.15 or newer"); err != nil {
			return err
		}
	}
	err := t.probe(ctx, copies)
	if refusal, ok := errors.AsType[*jetstream.APIError](err); ok && refusal.ErrorCode == codeNoCluster {
		t.replicas = 1
		err = t.probe(ctx, 1)
	}
	return err
}

func replicasOf(s Stream) (int, error) {
	var config struct {
		Replicas int `json:"num_replicas"`
	}
	if err := json.Unmarshal(s.Config, &config); err != nil {
		return 0, fmt.Errorf("stream %s: its configuration: %w", s.Name, err)
	}
	return config.Replicas, nil
}

func (t *Target) probe(ctx context.Context, copies int) error {
	cfg := jetstream.StreamConfig{
		Name: strings.ToUpper(t.prefix) + "_RESTORING", Subjects: []string{t.prefix + ".restoring"},
		Description: "Damrey: whether a backup can be restored", Replicas: copies,
	}
	return patiently(ctx, probeTime, func(ctx context.Context) error {
		if _, err := t.js.CreateStream(ctx, cfg); err != nil {
			return fmt.Errorf("a stream with %d copies cannot be made: %w", copies, err)
		}
		return t.remove(ctx, cfg.Name)
	})
}

// probeTime is how long making a stream may take, of which each copy is elected.
const probeTime = 10 * time.Second

// config is that of a stream of the backup, with as many copies as it gets.
func (t *Target) config(s Stream) (json.RawMessage, error) {
	if t.replicas == 0 {
		return s.Config, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(s.Config, &fields); err != nil {
		return nil, fmt.Errorf("stream %s: its configuration: %w", s.Name, err)
	}
	fields["num_replicas"] = json.RawMessage(strconv.Itoa(t.replicas))
	return json.Marshal(fields)
}

// Clear removes the streams that are there.
func (t *Target) Clear(ctx context.Context) error {
	for _, h := range t.held {
		if err := t.remove(ctx, h.Name); err != nil {
			return fmt.Errorf("stream %s cannot be removed: %w", h.Name, err)
		}
	}
	return nil
}

// Restore puts every stream of a backup back. Where one of its name is, that is removed: if it is empty, as a proxy makes
// them, or if that was said. What has expired since stays away; anything else that is missing is an error. Then the
// consumers are made that give the messages out, also for those whom no route leads to any more. done is told each
// stream. r is at its start.
func (t *Target) Restore(ctx context.Context, b Backup, r io.ReadSeeker, done func(Restored)) error {
	c := chunks{file: r, archive: tar.NewReader(r)}
	for _, s := range b.Streams {
		got, err := t.restore(ctx, s, b.inside[s.Name], &c)
		if err != nil {
			return fmt.Errorf("stream %s: %w", s.Name, err)
		}
		done(got)
	}
	for _, s := range b.Streams {
		if worker, ok := strings.CutPrefix(s.Name, bucket.JobsStream(t.prefix, "")); ok {
			if err := bucket.EnsureConsumers(ctx, t.js, t.prefix, worker); err != nil {
				return err
			}
		}
	}
	return nil
}

// chunks are those of all streams, one after another.
type chunks struct {
	file    io.ReadSeeker
	archive *tar.Reader
	read    int // of them
}

// next is the one behind what was read.
func (c *chunks) next() ([]byte, error) {
	_, data, err := entry(c.archive)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	c.read++
	return data, err
}

// back goes to where so many had been read.
func (c *chunks) back(read int) error {
	if c.read == read {
		return nil
	}
	if _, err := c.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	c.archive, c.read = tar.NewReader(c.file), 0
	for c.read < read {
		if _, err := c.next(); err != nil {
			return err
		}
	}
	return nil
}

const (
	// codeExists is JetStream's for a stream that is there and cannot be restored by that; while the chunks came another
	// may have been made.
	codeExists = 10130
	// codeRestoreFailed is JetStream's for one that it could not restore.
	codeRestoreFailed = 10062
	// restoreTime is how long it is begun anew with one stream.
	restoreTime = time.Minute
)

// restore tries again when a proxy makes the stream in between, and when nobody takes it: for up to 150 s after one of
// a cluster is gone, nats-server (2.15.2) leaves some restores to it.
func (t *Target) restore(ctx context.Context, s Stream, inside contents, c *chunks) (Restored, error) {
	config, err := t.config(s)
	if err != nil {
		return Restored{}, err
	}
	prepare := t.clear
	begin, end := c.read, time.Now().Add(restoreTime)
	for within := 500 * time.Millisecond; ; within = min(2*within, silence) { // it takes 0.1 s as a rule
		if err := prepare(ctx, s.Name); err != nil {
			return Restored{}, err
		}
		if err := c.back(begin); err != nil {
			return Restored{}, err
		}
		messages, at, err := put(ctx, t.js.Conn(), s.Name, config, s.State, within, func() ([]byte, error) {
			if c.read == begin+s.Chunks {
				return nil, nil
			}
			return c.next()
		})
		if err == nil {
			return restored(s, inside, messages, at)
		}
		refusal, refused := errors.AsType[*jetstream.APIError](err)
		isThere := refused && (refusal.ErrorCode == codeExists || refusal.ErrorCode == jetstream.JSErrCodeStreamNameInUse)
		isGoing := refused && refusal.ErrorCode == codeRestoreFailed && strings.Contains(refusal.Description, "no such file or directory")
		switch {
		case ctx.Err() != nil || !isThere && !isGoing && !passes(err) && !errors.Is(err, nats.ErrNoResponders) || time.Now().After(end):
			return Restored{}, err
		case isGoing:
			// The server (2.15.2) removes the directory of the last stream that was removed while it makes this one's in it.
			time.Sleep(tryAgain)
			prepare = t.clear
		case isThere:
			prepare = t.clear
		default:
			prepare = t.remove // it is ours, and nobody leads it
		}
	}
}

// restored tells what has expired until at from what is lost.
func restored(s Stream, inside contents, messages uint64, at time.Time) (Restored, error) {
	var config struct {
		MaxAge      time.Duration `json:"max_age"`
		AllowMsgTTL bool          `json:"allow_msg_ttl"`
	}
	if err := json.Unmarshal(s.Config, &config); err != nil {
		return Restored{}, err
	}
	had, least := inside.messages, inside.alive(at, config.MaxAge)
	if inside.old {
		had, least = s.Messages, s.Messages
		if config.MaxAge > 0 || config.AllowMsgTTL { // which of them is not known
			least = 0
		}
	}
	if messages < least {
		return Restored{}, fmt.Errorf("%d messages are there, and the backup has %d that have not expired", messages, least)
	}
	return Restored{Name: s.Name, Messages: messages, Expired: had - min(had, messages)}, nil
}

// clear removes a stream that holds nothing, or whatever it holds if that was said.
func (t *Target) clear(ctx context.Context, name string) error {
	info, err := look(ctx, t.js, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if n := info.State.Msgs; n > 0 && !t.replace {
		return fmt.Errorf("%d messages came into it meanwhile; stop what writes there", n)
	}
	return t.remove(ctx, name)
}

func (t *Target) remove(ctx context.Context, name string) error {
	return patiently(ctx, beginTime, func(ctx context.Context) error {
		err := t.js.DeleteStream(ctx, name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil
		}
		return err
	})
}
