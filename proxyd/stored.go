package proxyd

import (
	"context"
	"errors"
	"fmt"
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
	routes := r.durable()
	stores := make(map[string]view.Store)
	infos, silent, err := bucket.Infos(ctx, r.store.js, r.store.prefix+".job.>")
	if err != nil {
		return nil, nil, err
	}
	if len(silent) > 0 {
		return nil, nil, fmt.Errorf("no answer from the streams %s", strings.Join(silent, ", "))
	}
	for _, info := range infos {
		worker, ok := strings.CutPrefix(info.Config.Name, bucket.JobsStream(r.store.prefix, ""))
		if !ok {
			continue
		}
		s, err := r.readOne(ctx, worker, info, routes[worker])
		if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil, nil, err
		}
		stores[worker] = s
		if err == nil {
			r.saw(info.Config.Name, s.Stored)
		}
	}
	err = r.readDead(ctx)
	return stores, r.dead, err
}

// mostSubjects is how many subjects of one stream are counted. There is one for every route and partition, of default routes
// for every type, and of paused ones for every message.
const mostSubjects = 10_000

// durable are the routes of the table that store what goes to a worker.
type durable struct {
	routes int
	any    bool // one of them is a default route
	held   bool // one of them is paused, and stores what is sent meanwhile
}

// apart says that what is stored is to be counted by route, and that this is bounded.
func (d durable) apart(subjects uint64) bool {
	return (d.routes > 1 || d.any || d.held) && (subjects <= mostSubjects || !d.any && !d.held)
}

func (r *storeReader) durable() map[string]durable {
	all := make(map[string]durable)
	for _, row := range r.table().Rows() {
		for _, c := range row.Registration.Commands {
			if c.Delivery == damrey.Durable {
				d := all[c.Worker]
				d.routes++
				d.any, d.held = d.any || c.Name == "*", d.held || c.Paused
				all[c.Worker] = d
			}
		}
	}
	return all
}

func (r *storeReader) readOne(ctx context.Context, worker string, info *jetstream.StreamInfo, routes durable) (view.Store, error) {
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
	switch {
	case (s.Stored > 0 || routes.held) && routes.apart(info.State.NumSubjects):
		err = r.tellApart(ctx, stream, worker, routes.held, &s)
	case routes.held:
		var waiting uint64
		waiting, err = bucket.HeldCount(ctx, r.store.js, r.store.prefix, worker)
		s.Stored += waiting
	}
	if err != nil {
		return s, err
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

// tellApart counts what is stored by route.
func (r *storeReader) tellApart(ctx context.Context, stream jetstream.Stream, worker string, held bool, s *view.Store) (err error) {
	var all, waits uint64
	if s.Routes, all, err = r.byRoute(ctx, stream, "job", worker); err == nil && held {
		s.Held, waits, err = r.byRoute(ctx, stream, "held", worker)
	}
	s.Unacked = min(s.Unacked, all) // some were handled since their consumers were asked
	s.Stored = all + waits
	s.Pending = s.Stored - s.Unacked
	return err
}

func (r *storeReader) byRoute(ctx context.Context, stream jetstream.Stream, kind, worker string) (_ map[view.Key]uint64, all uint64, err error) {
	head := r.store.prefix + "." + kind + "." + worker + "."
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(head+">"))
	if err != nil {
		return nil, 0, err
	}
	routes := make(map[view.Key]uint64)
	for subject, n := range info.State.Subjects {
		if tokens := strings.Split(strings.TrimPrefix(subject, head), "."); len(tokens) >= 2 {
			routes[view.Key{From: tokens[1], Type: tokens[0], To: worker}] += n
			all += n
		}
	}
	return routes, all, nil
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
