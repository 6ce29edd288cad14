package damrey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/damrey/damrey/internal/bucket"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// What a message of a durable route says in headers.
const (
	HeaderID       = jetstream.MsgIDHeader // under which a message that is stored twice is known
	HeaderReply    = "Damrey-Reply"        // where an answer goes; JetStream takes the reply subject for itself
	HeaderHops     = "Damrey-Hops"         // behind the message; absent: 0
	HeaderPath     = "Damrey-Path"         // the routes behind the message, as <from>.<type>.<to> with a space between them
	HeaderCost     = "Damrey-Cost"         // of the receiving instance's mpu; absent: 1
	HeaderAttempts = "Damrey-Attempts"     // how often it may fail; absent: DefaultAttempts
	HeaderBackoff  = "Damrey-Backoff"      // after the first failure; absent: DefaultBackoff
	HeaderKey      = "Damrey-Key"          // the index of the argument that is the key; absent: none
	HeaderLineage  = "Damrey-Lineage"      // what the id of its output begins with; absent: its id
)

const (
	storeKind = "p"
	// storeLimit is how many messages may be on their way into streams.
	storeLimit = 4096
	// storeTime is the least that storing goes on trying. Elections in a cluster
	// take 4 to 9 s.
	storeTime = 15 * time.Second
	// storeWait is how long one attempt waits for its acknowledgement. A broker
	// whose disk is full gives none, but the next attempt learns of that.
	storeWait = 1500 * time.Millisecond
	// storeLook is how often attempts are looked after.
	storeLook = 100 * time.Millisecond
	// storeKnown is how long after an attempt that may have stored a message it is
	// repeated: JetStream knows its id for a little longer.
	storeKnown = bucket.Duplicates - 10*time.Second
)

// storing is a message on its way into a stream. Every attempt carries the same
// id, so that the stream has it once.
type storing struct {
	id       uint64
	msg      *nats.Msg
	marker   *nats.Msg // not nil: stored together with msg, both or none
	at       string    // the route, for people
	deadline moment
	next     moment // when to try again
	made     uint64 // reconnects when it was last published
	attempts int
	why      error  // it is not stored yet
	answered bool   // the last attempt was, so that it is known not to be stored
	doubtful bool   // one before was not
	since    moment // of the first attempt that may have stored it
	done     func(error)
	spare    bool   // of a job in hand, which are few: it never waits for room
	patient  bool   // waits while the broker says that nothing can be stored
	lane     string // not empty: one at a time of those that have the same
	behind   bool   // another of its lane is under way; guarded by stores.mu
}

// stores are a link's storings under way.
type stores struct {
	mu      sync.Mutex // guards what follows
	next    uint64
	byID    map[uint64]*storing
	lanes   map[string][]*storing // that are behind the one under way
	room    chan struct{}         // not nil while someone waits for room or for none to be left
	looking bool
	closed  bool
}

// store publishes the message of s until it is stored. s.done is called once
// with what became of it, and must not block. It waits while too many are under
// way, until ctx ends; its error then is the only word.
func (l *link) store(ctx context.Context, begun storing) error {
	s := &begun
	t := &l.stores
	t.mu.Lock()
	for !t.closed && !s.spare && len(t.byID) >= storeLimit {
		if err := t.wait(ctx, s.deadline); err != nil {
			t.mu.Unlock()
			return fmt.Errorf("%w: %d messages wait to be stored (%s): %w", ErrFull, storeLimit, s.at, err)
		}
	}
	if t.closed {
		t.mu.Unlock()
		return ErrClosed
	}
	t.next++
	s.id, s.why = t.next, errNotAcknowledged
	if t.byID == nil {
		t.byID = make(map[uint64]*storing)
	}
	t.byID[s.id] = s
	s.msg.Reply = l.inbox + "." + storeKind + strconv.FormatUint(s.id, 36)
	if !t.queue(s) {
		l.prepareStore(s)
	}
	attempt := s.attempts
	if !t.looking {
		t.looking = true
		time.AfterFunc(storeLook, l.lookAfterStores)
	}
	t.mu.Unlock()
	if attempt > 0 {
		l.publishStore(s, attempt)
	}
	return nil
}

// queue says that s waits for another of its lane. mu is held.
func (t *stores) queue(s *storing) bool {
	if s.lane == "" {
		return false
	}
	waiting, busy := t.lanes[s.lane]
	if busy {
		s.behind = true
		t.lanes[s.lane] = append(waiting, s)
		return true
	}
	if t.lanes == nil {
		t.lanes = make(map[string][]*storing)
	}
	t.lanes[s.lane] = nil
	return false
}

// follow is called when s has ended, and gives the next of its lane. mu is
// held.
func (t *stores) follow(s *storing) *storing {
	if s.lane == "" || s.behind {
		return nil
	}
	waiting := t.lanes[s.lane]
	for len(waiting) > 0 {
		next := waiting[0]
		waiting = waiting[1:]
		if t.byID[next.id] != nil {
			t.lanes[s.lane] = waiting
			next.behind = false
			return next
		}
	}
	delete(t.lanes, s.lane)
	return nil
}

// attempt is a storing with the number of its attempt.
type attempt struct {
	*storing
	attempt int
}

// prepareStore counts an attempt. mu is held.
func (l *link) prepareStore(s *storing) {
	if s.doubtful = s.inDoubt(); !s.doubtful {
		s.since = clock()
	}
	s.answered = false
	s.attempts++
	s.next = clock().add(storeWait)
	s.made = l.reconnects()
}

func (l *link) publishStore(s *storing, attempt int) {
	err := l.publishBoth(s, attempt)
	switch {
	case err == nil:
	case notConnected(err):
		// The next look after it comes soon.
		l.stores.later(s.id, reconnectPoll, err)
	case errors.Is(err, nats.ErrMaxPayload):
		l.endStore(s.id, tooLarge(s.msg.Size(), l.state.maxPayload.Load(), s.at))
	default:
		l.endStore(s.id, fmt.Errorf("%w: %w (%s)", ErrNotConnected, err, s.at))
	}
}

// publishBoth publishes the marker and the message as a batch of JetStream's,
// or the message alone.
func (l *link) publishBoth(s *storing, attempt int) error {
	if s.marker == nil {
		return l.nc.PublishMsg(s.msg)
	}
	first, last := bucket.Both(fmt.Sprintf("%s-%d-%d", l.inboxToken(), s.id, attempt), s.marker, s.msg)
	if err := l.nc.PublishMsg(first); err != nil {
		return err
	}
	return l.nc.PublishMsg(last)
}

// onStored is called in the inbox's order with what follows the mark.
func (l *link) onStored(text string, m *nats.Msg) {
	id, err := strconv.ParseUint(text, 36, 64)
	if err != nil {
		l.count.unasked.Add(1)
		return
	}
	if isNoResponders(m) {
		l.stores.later(id, backoff(1), l.noStream.why(l.nc))
		return
	}
	var ack struct {
		Stream    string              `json:"stream"`
		Duplicate bool                `json:"duplicate"`
		Error     *jetstream.APIError `json:"error"`
	}
	switch err := json.Unmarshal(m.Data, &ack); {
	case err != nil, ack.Error == nil && ack.Stream == "":
		l.count.unasked.Add(1)
	case ack.Error == nil:
		if ack.Duplicate {
			l.count.deduplicated.Add(1)
		}
		l.endStore(id, nil)
	case ack.Error.ErrorCode == bucket.CodeBatchDuplicate: // an attempt before has, and its marker is gone already
		l.count.deduplicated.Add(1)
		l.endStore(id, nil)
	case ack.Error.ErrorCode == bucket.CodeBatchHeader && l.stores.withoutID(id):
	case ack.Error.ErrorCode == bucket.CodeStoreFailed:
		l.endStore(id, l.stores.full(id, ack.Error))
	case ack.Error.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence, ack.Error.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant:
		go l.compareMarker(id)
	case ack.Error.ErrorCode == bucket.CodeBatchIncomplete, ack.Error.ErrorCode == bucket.CodeBatchesTooMany:
		l.stores.later(id, backoff(1), ack.Error)
	case ack.Error.ErrorCode == bucket.CodeInProcess:
		l.stores.doubtful(id)
		l.stores.later(id, backoff(2), errInProcess)
	case ack.Error.Code == http.StatusServiceUnavailable:
		l.stores.later(id, backoff(2), ack.Error)
	case ack.Error.Code == http.StatusInsufficientStorage:
		l.noRoom(id, ack.Error)
	default:
		l.refuseStore(id, fmt.Errorf("the broker refuses it: %w", ack.Error))
	}
}

// withoutID has a message that is stored with a marker go without an id of its
// own, which nats-server 2.12.0 takes in no batch. False when it has none.
func (t *stores) withoutID(id uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.byID[id]
	if s == nil || s.marker == nil || s.msg.Header.Get(HeaderID) == "" {
		return false
	}
	m := *s.msg
	m.Header = maps.Clone(m.Header)
	m.Header.Del(HeaderID)
	s.msg, s.next, s.answered = &m, clock(), true
	return true
}

// full says that the limits of the stream are reached, which ids count towards.
func (t *stores) full(id uint64, why *jetstream.APIError) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.byID[id]; s != nil && s.marker != nil {
		return fmt.Errorf("%w: %s; each id counts as one message more there, until the route's window is over", ErrFull, why.Description)
	}
	return fmt.Errorf("%w: %s", ErrFull, why.Description)
}

// noRoom ends a storing while the broker cannot write its files, which the proxy
// says in its place.
func (l *link) noRoom(id uint64, why *jetstream.APIError) {
	if l.stores.isPatient(id) {
		l.stores.later(id, backoff(2), why)
		return
	}
	l.refuseStore(id, errors.New(why.Description))
}

// compareMarker looks what was stored under an id that was used before.
func (l *link) compareMarker(id uint64) {
	t := &l.stores
	t.mu.Lock()
	s := t.byID[id]
	t.mu.Unlock()
	if s == nil {
		return
	}
	stream, subject := s.guard(l.prefix)
	if stream == "" {
		l.refuseStore(id, errors.New("the broker expects another sequence"))
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	m, err := l.nc.RequestWithContext(ctx, directGet(stream, subject), nil)
	switch {
	case err != nil:
		l.stores.doubtful(id)
		l.stores.later(id, backoff(1), err)
	case m.Header.Get(statusHeader) != "":
		l.stores.later(id, 0, fmt.Errorf("the id was forgotten just now")) // and is free
	case s.isSame(m):
		l.count.deduplicated.Add(1)
		l.endStore(id, nil)
	default:
		l.endStore(id, ErrIDConflict)
	}
}

// guard is where it is kept that an id was used.
func (s *storing) guard(prefix string) (stream, subject string) {
	switch {
	case s.marker != nil:
		to, _, _ := strings.Cut(strings.TrimPrefix(s.marker.Subject, prefix+".id."), ".")
		return bucket.JobsStream(prefix, to), s.marker.Subject
	case s.msg.Header.Get(HeaderContent) != "":
		return bucket.LaterStream(prefix), s.msg.Subject
	}
	return "", ""
}

// isSame compares with what is stored under the id.
func (s *storing) isSame(m *nats.Msg) bool {
	if s.marker != nil {
		return string(m.Data) == string(s.marker.Data)
	}
	return m.Header.Get(HeaderContent) == s.msg.Header.Get(HeaderContent)
}

// directGet is where the last message of a subject is asked for.
func directGet(stream, subject string) string {
	return jetstream.DefaultAPIPrefix + "DIRECT.GET." + stream + "." + subject
}

// endStore tells what became of a storing, once.
func (l *link) endStore(id uint64, err error) {
	t := &l.stores
	t.mu.Lock()
	s := t.byID[id]
	if s == nil {
		t.mu.Unlock()
		l.count.late.Add(1)
		return
	}
	delete(t.byID, id)
	t.announce()
	next := t.follow(s)
	if next != nil {
		l.prepareStore(next)
	}
	t.mu.Unlock()
	if next != nil {
		l.publishStore(next, 1)
	}
	var placed *fabricError
	if err == nil {
		l.count.stored.Add(1)
	} else if !errors.As(err, &placed) {
		err = fmt.Errorf("%w (%s)", err, s.at)
	}
	s.done(err)
}

// later tries again after a while.
func (t *stores) later(id uint64, wait time.Duration, why error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.byID[id]; s != nil {
		s.next, s.why, s.answered = clock().add(wait), why, true
	}
}

// lookAfterStores publishes again what was not acknowledged in time or over a
// connection that is gone, and ends what is past its deadline.
func (l *link) lookAfterStores() {
	t := &l.stores
	var over []*storing
	var again []attempt
	t.mu.Lock()
	now, made := clock(), l.reconnects()
	for id, s := range t.byID {
		switch {
		case now >= s.deadline || t.closed || s.forgotten(now):
			delete(t.byID, id)
			over = append(over, s)
		case s.behind:
		case l.state.up.Load() && (now >= s.next || s.made != made):
			l.prepareStore(s)
			again = append(again, attempt{s, s.attempts})
		}
	}
	for _, s := range over {
		if next := t.follow(s); next != nil {
			l.prepareStore(next)
			again = append(again, attempt{next, 1})
		}
	}
	t.looking = len(t.byID) > 0
	if t.looking {
		time.AfterFunc(storeLook, l.lookAfterStores)
	}
	t.announce()
	t.mu.Unlock()
	for _, s := range over {
		s.done(s.unfinished())
	}
	for _, s := range again {
		if s.attempt > 1 {
			l.count.retried.Add(1)
		}
		l.publishStore(s.storing, s.attempt)
	}
}

func (t *stores) isPatient(id uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.byID[id]
	return s != nil && (s.patient || s.spare)
}

// wait releases mu until a storing ends. mu is held.
func (t *stores) wait(ctx context.Context, deadline moment) error {
	if t.room == nil {
		t.room = make(chan struct{})
	}
	room := t.room
	t.mu.Unlock()
	defer t.mu.Lock()
	return awaitChange(ctx, room, nil, deadline)
}

func (t *stores) announce() {
	if t.room != nil {
		close(t.room)
		t.room = nil
	}
}

// settleStores returns when nothing waits to be stored or is under way.
func (l *link) settleStores(ctx context.Context) error {
	if err := l.held.settle(ctx); err != nil {
		return err
	}
	return l.stores.settle(ctx)
}

// settle returns when nothing is under way.
func (t *stores) settle(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.byID) > 0 {
		if err := t.wait(ctx, 0); err != nil {
			return err
		}
	}
	return nil
}

// close ends what is under way with an unknown fate.
func (t *stores) close(l *link) {
	t.mu.Lock()
	t.closed = true
	left := len(t.byID)
	t.mu.Unlock()
	if left > 0 {
		l.log.warn("messages were on their way into a stream when this instance stopped; their senders are told",
			func(e *zerolog.Event) { e.Int("messages", left) })
		l.lookAfterStores()
	}
}
