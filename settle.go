package damrey

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/damrey/damrey/internal/bucket"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

const (
	// settleEvery is how often the broker is asked what is in other hands.
	settleEvery = 50 * time.Millisecond
	// absentTime is longer than the broker waits until it hands out again what
	// nobody speaks for.
	absentTime = bucket.AckWait + 2*time.Second
	// waitsLong is how long a partition waits before its owner says so, and again.
	// What comes again after a death takes the ack wait.
	waitsLong = absentTime + 3*time.Second
	// asksAtATime is how many questions about one partition are under way.
	asksAtATime = 32
	// absentLook is how much longer than usually the next look waits then.
	absentLook = 500 * time.Millisecond
)

// settle asks the broker what it has handed out.
func (p *partition) settle() {
	held, ended, gaps := p.count()
	var info jetstream.ConsumerInfo
	err := p.k.askBroker("CONSUMER.INFO."+p.k.stream+"."+bucket.KeyConsumer(p.number), nil, &info)
	// Counts may agree by chance: after an election the new leader of the consumer
	// may not know that some was handed out, and one was lost on its way.
	known := err == nil && p.mayBeAll(info.NumAckPending, held, ended) && p.hasAll(&info)
	k := p.k
	k.mu.Lock()
	defer k.mu.Unlock()
	defer k.w.link.kick(k.wake)
	p.settling = false
	pin := pinnedTo(&info)
	defer p.tellOfWaiting(&info, err)
	// A new leader of the consumer knows of no pin until it hands something out,
	// which it does not while all that it may is in hand here.
	if err != nil || p.closed || p.settled || pin != "" && pin != p.pin {
		return
	}
	// What was in hand all the time since is surely among what the broker calls
	// out. If that is all, nothing is with another or was lost on its way. One that
	// is still being read would be overtaken, and a gap that was seen meanwhile may
	// be newer than what the broker said.
	stayed := held - (p.ended - ended)
	p.doubt = info.NumAckPending < stayed
	if !known || p.reading > 0 || info.NumAckPending != stayed || p.gaps != gaps {
		return
	}
	p.next = max(p.next, info.Delivered.Consumer+1)
	p.goOn()
}

// mayBeAll says that the counts agree.
func (p *partition) mayBeAll(out, held, ended int) bool {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	return out == held-(p.ended-ended)
}

// hasAll says that everything that is stored for the partition, up to the last
// that was handed out, is in hand: what is acknowledged is not stored any more.
// It goes by what is in hand, too, and not by the consumer alone, which may know
// of less after an election.
//
// A broker whose streams have no copies and that ends between writing an
// acknowledgement down and removing the message keeps the message for ever, and
// never hands it out. With copies the stream's leader may have some that the
// others have not, and looks for them every two minutes only. The consumer counts
// none of them as out. Below its floor they are done where there are no copies;
// with copies the floor is not believed, since after an election the consumer's
// new leader has been seen to have one above messages that it handed out later.
// What does not come for so long, though the counts agree, is done where there
// are no copies, and rescued where there are.
func (p *partition) hasAll(info *jetstream.ConsumerInfo) bool {
	last := max(info.Delivered.Stream, p.newest())
	missing, err := p.missing(0, last, 1)
	if err != nil {
		return false
	}
	var stream jetstream.StreamInfo
	err = p.k.askBroker("STREAM.INFO."+p.k.stream, nil, &stream)
	if err != nil || stream.State.LastSeq < last {
		return false // who has answered was a leader once, and does not know of all
	}
	p.setCopies(stream.Config.Replicas > 1)
	if len(missing) == 0 {
		p.overdue(nil)
		return true
	}
	// What a consumer says of its copies is not enough: in an election it may know
	// of none.
	from := uint64(0)
	if stream.Config.Replicas == 1 {
		from = info.AckFloor.Stream
	}
	missing, err = p.missing(from, last, bucket.KeyWindow)
	if err != nil {
		return false
	}
	overdue := p.overdue(missing)
	if stream.Config.Replicas == 1 {
		return len(overdue) == len(missing)
	}
	for _, sequence := range overdue {
		p.rescue(sequence)
	}
	return false
}

// tellOfWaiting says why nothing of the partition begins when that has been so
// for long. mu is held.
func (p *partition) tellOfWaiting(info *jetstream.ConsumerInfo, err error) {
	now := clock()
	switch {
	case p.settled || p.closed:
		p.waits = 0
		return
	case p.waits == 0:
		p.waits = now
		return
	case now.since(p.waits) < waitsLong:
		return
	}
	p.waits = now
	p.k.w.log.warn("messages of a partition wait: the broker has handed out others than those in hand here, which must come or end first", func(e *zerolog.Event) {
		e.Err(err).Str("consumer", bucket.KeyConsumer(p.number)).Str("stream", p.k.stream).Int("out", info.NumAckPending).
			Int("in_hand", len(p.held)).Int("forgotten_by_broker", p.gone).Int("reading", p.reading).Int("missing", len(p.absent)).
			Int("pulls", p.left).Str("pin", p.pin).Str("pinned_to", pinnedTo(info)).Int("redelivered", info.NumRedelivered)
	})
}

func (p *partition) setCopies(some bool) {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	p.copies = some
}

// newest is the highest sequence in hand.
func (p *partition) newest() (sequence uint64) {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	for s := range p.held {
		sequence = max(sequence, s)
	}
	return sequence
}

// askBroker asks JetStream's API, and not for long.
func (k *keyedWork) askBroker(api string, body []byte, answer any) error {
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	return askJetStream(ctx, k.nc, api, body, answer)
}

// overdue are those of what is missing that have been so for so long. What is
// not missing any more is forgotten.
func (p *partition) overdue(missing []uint64) (overdue []uint64) {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	now := clock()
	absent := make(map[uint64]moment, len(missing))
	for _, sequence := range missing {
		since, known := p.absent[sequence]
		if !known {
			since = now
		}
		absent[sequence] = since
		if now.since(since) > absentTime {
			overdue = append(overdue, sequence)
		}
	}
	p.absent = absent
	if len(overdue) < len(missing) {
		p.settledAt = now.add(absentLook) // each look asks for every one in hand
	}
	return overdue
}

// missing are the first sequences after floor and up to another that are stored
// for the partition and not in hand. It asks for what stands between those in
// hand, many at a time: one after another they would take longer, when the
// broker is slow, than what is in hand is safe, and nothing would ever settle.
func (p *partition) missing(floor, upTo uint64, most int) (missing []uint64, err error) {
	starts := p.heldAfter(floor, upTo)
	var mu sync.Mutex // guards missing and err
	atOnce(len(starts), func(i int) {
		end := upTo + 1
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		found, failed := p.missingBetween(starts[i], end, most)
		mu.Lock()
		defer mu.Unlock()
		missing, err = append(missing, found...), errors.Join(err, failed)
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(missing)
	return missing[:min(len(missing), most)], nil
}

// atOnce calls do for 0 to n-1, many at a time, and returns when all are over.
func atOnce(n int, do func(i int)) {
	var doing sync.WaitGroup
	room := make(chan struct{}, asksAtATime)
	for i := range n {
		room <- struct{}{}
		doing.Go(func() {
			defer func() { <-room }()
			do(i)
		})
	}
	doing.Wait()
}

// heldAfter are floor and the sequences in hand behind it, in their order.
func (p *partition) heldAfter(floor, upTo uint64) []uint64 {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	all := []uint64{floor}
	for sequence := range p.held {
		if sequence > floor && sequence <= upTo {
			all = append(all, sequence)
		}
	}
	slices.Sort(all)
	return all
}

// missingBetween are the first sequences between two that are stored and not in
// hand.
func (p *partition) missingBetween(start, end uint64, most int) (missing []uint64, err error) {
	for next := start + 1; next < end && len(missing) < most; next++ {
		next, err = p.nextStored(next)
		if err != nil || next == 0 || next >= end {
			return missing, err
		}
		if !p.has(next) {
			missing = append(missing, next)
		}
	}
	return missing, nil
}

// nextStored is the first sequence from one on that is stored for the partition,
// 0 when none is.
func (p *partition) nextStored(from uint64) (uint64, error) {
	request, err := json.Marshal(struct {
		Sequence uint64 `json:"seq"`
		Subject  string `json:"next_by_subj"`
	}{from, p.k.w.jobHead + "*.*." + strconv.Itoa(p.number)})
	if err != nil {
		return 0, err
	}
	var answer struct {
		Message struct {
			Sequence uint64 `json:"seq"`
		} `json:"message"`
	}
	err = p.k.askBroker("STREAM.MSG.GET."+p.k.stream, request, &answer)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	return answer.Message.Sequence, err
}

func (p *partition) has(sequence uint64) bool {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	return p.held[sequence] != nil
}

// goOn queues what came while the partition was not settled, which it is now. mu
// is held.
func (p *partition) goOn() {
	p.settled, p.absent = true, nil
	early := p.early
	p.early = nil
	slices.SortFunc(early, bySequence)
	for _, in := range early {
		p.place(in)
	}
}

// count is how many messages are in hand that the broker has handed out, how
// many have ended, and how many gaps there were. When there were too many it looks first which the broker has
// no more.
func (p *partition) count() (held, ended, gaps int) {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	if p.doubt {
		p.sift()
	}
	return len(p.held) - p.gone, p.ended, p.gaps
}

// sift looks for messages that the broker has no more: the last owner's
// acknowledgement came late, or somebody removed them by hand. Nothing would
// ever settle with them. They are forgotten, but not where there are copies: a
// consumer's leader that has lost sight of a message makes the stream remove it.
// mu is held before and after.
func (p *partition) sift() {
	all := slices.Collect(maps.Values(p.held))
	p.k.mu.Unlock()
	stored := make([]bool, len(all))
	atOnce(len(all), func(i int) { stored[i] = p.stored(all[i].job.sequence) })
	p.k.mu.Lock()
	for i, in := range all {
		switch j := in.job; {
		case stored[i] || p.held[j.sequence] != in || j.gone:
		case j.running || !j.placed || p.copies:
			j.gone = true
			p.gone++
		default:
			p.withdraw(in)
		}
	}
}

// stored says that the broker has a message still, or does not say.
func (p *partition) stored(sequence uint64) bool {
	next, err := p.nextStored(sequence)
	return err != nil || next == sequence
}

func pinnedTo(info *jetstream.ConsumerInfo) string {
	for _, g := range info.PriorityGroups {
		if g.Group == bucket.KeyGroup {
			return g.PinnedClientID
		}
	}
	return ""
}
