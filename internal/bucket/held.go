package bucket

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// movers is how many held messages are moved at a time.
	movers = 32
	// slack is how many messages, and bytes for each, a stream may hold beyond its limits while it is full of held ones:
	// one is stored anew before it is removed from where it was.
	slack      = 1000
	slackBytes = 1 << 20
)

// headerJobID is where a job keeps the id that it was first stored under.
const headerJobID = "Damrey-ID"

// Held says how many messages of a worker's stream wait for their paused routes, by "<type>.<from>", and with a key by
// "<type>.<from>.<partition>".
func Held(ctx context.Context, js jetstream.JetStream, prefix, worker string) (map[string]uint64, error) {
	s := jobs{prefix: prefix, worker: worker}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	stream, err := js.Stream(ctx, s.stream())
	if err != nil {
		return nil, err
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(s.held()))
	if err != nil {
		return nil, err
	}
	held := make(map[string]uint64)
	for subject, n := range info.State.Subjects {
		route := strings.TrimPrefix(subject, s.prefix+".held."+s.worker+".")
		held[route[:strings.LastIndexByte(route, '.')]] += n // without what tells one message from another
	}
	return held, nil
}

// Resume moves the messages of one route, as Held names it, that were stored while it was paused to where its worker takes
// them, and returns how many. Those with a key keep their order. Others may do the same at once: a message is moved only while it is where it was.
func Resume(ctx context.Context, js jetstream.JetStream, prefix, worker, route string, limits Limits) (moved int, err error) {
	m := &mover{js: js, jobs: jobs{prefix: prefix, worker: worker, limits: limits}, route: route}
	defer func() {
		if m.stretched {
			err = errors.Join(err, EnsureJobs(ctx, js, prefix, worker, limits))
		}
	}()
	stream, err := js.Stream(ctx, m.stream())
	if err != nil {
		return 0, err
	}
	m.from = stream
	for from := uint64(1); ; {
		batch, err := m.read(ctx, from)
		if err == nil && len(batch) > 0 {
			from = batch[len(batch)-1].Sequence + 1
			err = m.move(ctx, batch)
		}
		if err != nil || len(batch) == 0 {
			return m.moved, err
		}
	}
}

// mover moves held messages.
type mover struct {
	jobs
	js        jetstream.JetStream
	from      jetstream.Stream
	route     string
	moved     int
	stretched bool // the stream may hold more than its limits say
}

// read gets the next held messages of the route.
func (m *mover) read(ctx context.Context, from uint64) ([]*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	subject := m.prefix + ".held." + m.worker + "." + m.route + ".*"
	var batch []*jetstream.RawStreamMsg
	for len(batch) < movers {
		msg, err := m.from.GetMsg(ctx, from, jetstream.WithGetMsgSubject(subject))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return batch, nil
		}
		if err != nil {
			return nil, err
		}
		batch = append(batch, msg)
		from = msg.Sequence + 1
	}
	return batch, nil
}

func (m *mover) move(ctx context.Context, batch []*jetstream.RawStreamMsg) error {
	for {
		full, err := m.try(ctx, batch)
		if err != nil || !full {
			return err
		}
		if m.stretched {
			return fmt.Errorf("stream %s takes no more; let instances of %q work off what is stored, or raise max_messages and max_bytes there", m.stream(), m.worker)
		}
		if err := m.stretch(ctx); err != nil {
			return err
		}
	}
}

// stretch lets a full stream hold a little more.
func (m *mover) stretch(ctx context.Context) error {
	wide := m.limits
	if wide.Messages > 0 {
		wide.Messages += slack
	}
	if wide.Bytes > 0 {
		wide.Bytes += slack * slackBytes
	}
	m.stretched = true
	return EnsureJobs(ctx, m.js, m.prefix, m.worker, wide)
}

// try moves all of batch, some at a time. Those that were moved are not there any more when it is tried again.
func (m *mover) try(ctx context.Context, batch []*jetstream.RawStreamMsg) (full bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	results := m.oneByOne(ctx, batch)
	for i, result := range results {
		refusal, refused := errors.AsType[*jetstream.APIError](result)
		switch {
		case batch[i] == nil:
		case result == nil:
			m.moved++
			batch[i] = nil
		case refused && refusal.ErrorCode == CodeStoreFailed:
			full = true
		default:
			err = errors.Join(err, result)
		}
	}
	return full, err
}

// oneByOne moves messages with a key in order, up to the first that fails, and others at once.
func (m *mover) oneByOne(ctx context.Context, batch []*jetstream.RawStreamMsg) []error {
	results := make([]error, len(batch))
	if strings.Count(m.route, ".") > 1 {
		var failed error
		for i, msg := range batch {
			if results[i] = failed; msg != nil && failed == nil {
				failed = m.one(ctx, msg)
				results[i] = failed
			}
		}
		return results
	}
	var all sync.WaitGroup
	for i, msg := range batch {
		if msg != nil {
			all.Go(func() { results[i] = m.one(ctx, msg) })
		}
	}
	all.Wait()
	return results
}

// one stores a held message as a job and then removes it. Should this end between the two, the next try is recognized by
// the id.
func (m *mover) one(ctx context.Context, held *jetstream.RawStreamMsg) error {
	job := jobOf(held)
	job.Subject = m.prefix + ".job." + m.worker + "." + m.route
	_, err := m.js.PublishMsg(ctx, job)
	if refusal, ok := errors.AsType[*jetstream.APIError](err); ok &&
		(refusal.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || refusal.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant) {
		return nil // somebody else has moved it
	}
	if err != nil {
		return err
	}
	if err := m.from.DeleteMsg(ctx, held.Sequence); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) && !errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
		return err
	}
	return nil
}

func jobOf(held *jetstream.RawStreamMsg) *nats.Msg {
	job := &nats.Msg{Data: held.Data, Header: nats.Header{}}
	for name, values := range held.Header {
		if !strings.HasPrefix(name, "Nats-") {
			job.Header[name] = values
		}
	}
	id := held.Header.Get(jetstream.MsgIDHeader)
	if job.Header.Get(headerJobID) == "" {
		job.Header.Set(headerJobID, id)
	}
	job.Header.Set(jetstream.MsgIDHeader, heldID(held.Sequence, id))
	job.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(held.Sequence, 10))
	job.Header.Set(jetstream.ExpectedLastSubjSeqSubjHeader, held.Subject)
	return job
}

// heldID is under which a held message is stored anew.
func heldID(sequence uint64, id string) string {
	return "held." + strconv.FormatUint(sequence, 10) + "." + id
}
