package proxyd

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/bucket"
	"github.com/damrey/damrey/internal/view"
)

// lookEvery is how often the streams of jobs are looked at.
const lookEvery = 5 * time.Second

// storeReader reads what is stored. It asks for all streams at once, and only of those that hold something for more.
type storeReader struct {
	store *store
	table func() *damrey.Table
	saw   func(stream string, messages uint64) // is told of each that was read

	letters jetstream.StreamState // when dead was read
	dead    map[view.Key]uint64
}

func (r *storeReader) read(ctx context.Context) (map[string]view.Store, map[view.Key]uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, lookEvery)
	defer cancel()
	held := r.held()
	stores := make(map[string]view.Store)
	list := r.store.js.ListStreams(ctx, jetstream.WithStreamListSubject(r.store.prefix+".job.>"))
	for info := range list.Info() {
		worker, ok := strings.CutPrefix(info.Config.Name, bucket.JobsStream(r.store.prefix, ""))
		if !ok {
			continue
		}
		s, err := r.readOne(ctx, worker, info, held[worker])
		if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil, nil, err
		}
		stores[worker] = s
		if err == nil {
			r.saw(info.Config.Name, s.Stored)
		}
	}
	if err := list.Err(); err != nil {
		return nil, nil, err
	}
	err := r.readDead(ctx)
	return stores, r.dead, err
}

// held are the workers to which a route is paused that stores what is sent meanwhile.
func (r *storeReader) held() map[string]bool {
	held := make(map[string]bool)
	for _, row := range r.table().Rows() {
		for _, c := range row.Registration.Commands {
			if c.Paused && c.Delivery == damrey.Durable {
				held[c.Worker] = true
			}
		}
	}
	return held
}

func (r *storeReader) readOne(ctx context.Context, worker string, info *jetstream.StreamInfo, held bool) (view.Store, error) {
	s := view.Store{
		Kept: info.State.Msgs, Bytes: info.State.Bytes,
		MaxMessages: uint64(max(0, info.Config.MaxMsgs)), MaxBytes: uint64(max(0, info.Config.MaxBytes)),
	}
	if s.Kept == 0 {
		return s, nil
	}
	stream, err := r.store.js.Stream(ctx, info.Config.Name)
	if err != nil {
		return s, err
	}
	list := stream.ListConsumers(ctx)
	for c := range list.Info() {
		s.Pending += c.NumPending
		s.Unacked += uint64(max(0, c.NumAckPending))
		s.Redelivered += uint64(max(0, c.NumRedelivered))
	}
	if err := list.Err(); err != nil {
		return s, err
	}
	s.Stored = s.Pending + s.Unacked // without what only remembers ids
	if held {
		waiting, err := bucket.HeldCount(ctx, r.store.js, r.store.prefix, worker)
		if err != nil {
			return s, err
		}
		s.Stored += waiting
	}
	if s.Stored == 0 {
		return s, nil
	}
	first, err := stream.GetMsg(ctx, info.State.FirstSeq, jetstream.WithGetMsgSubject(r.store.prefix+".job."+worker+".>"))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return s, nil // handled meanwhile
	}
	if err == nil {
		s.Oldest = max(0, time.Since(first.Time))
	}
	return s, err
}

// readDead counts the dead letters by route, when some came or went.
func (r *storeReader) readDead(ctx context.Context) error {
	stream, err := r.store.js.Stream(ctx, bucket.DeadStream(r.store.prefix))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		r.dead = nil
		return nil
	}
	if err != nil {
		return err
	}
	now := stream.CachedInfo().State
	r.saw(bucket.DeadStream(r.store.prefix), now.Msgs)
	if r.dead != nil && now.LastSeq == r.letters.LastSeq && now.FirstSeq == r.letters.FirstSeq && now.Msgs == r.letters.Msgs {
		return nil
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(r.store.prefix+".dead.>"))
	if err != nil {
		return err
	}
	r.letters, r.dead = now, make(map[view.Key]uint64, len(info.State.Subjects))
	for subject, n := range info.State.Subjects {
		if tokens := strings.Split(subject, "."); len(tokens) == 5 {
			r.dead[view.Key{From: tokens[4], Type: tokens[3], To: tokens[2]}] = n
		}
	}
	return nil
}
