package damrey

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/damrey/damrey/internal/bucket"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

const (
	// keyedLook is how often partitions are looked after.
	keyedLook = 250 * time.Millisecond
	// meet is how long an instance listens for others before it takes its share.
	meet = 300 * time.Millisecond
	// rest is how long a partition is left alone whose consumer is not there.
	rest = time.Second
	// maxReaders is how many messages that come again are looked up at a time.
	maxReaders = 64
	// lateTime is how long messages may be on their way.
	lateTime = 100 * time.Millisecond
)

// keyedWork takes the stored messages that have a key. They are spread over
// partitions by their keys, and each partition belongs to one instance at a
// time, which runs those of one key one after another and those of different
// keys at once.
type keyedWork struct {
	w       *Instance
	readers chan struct{} // of a few places
	reading sync.WaitGroup
	nc      *nats.Conn
	stream  string
	inbox   string
	wake    chan struct{}

	mu       sync.Mutex // guards what follows, and all partitions
	crew     crew
	parts    [bucket.Partitions]*partition // nil: another's
	ready    fifo[*inbound]                // may run
	admitted int                           // given to the dispatcher, and not ended
	trouble  error
	rests    [bucket.Partitions]moment // not before: its consumer is not there
}

// pullKeyed returns when ctx ends and what was on its way has been taken.
func (w *Instance) pullKeyed(ctx context.Context, nc *nats.Conn) {
	stream := bucket.JobsStream(w.opts.prefix, w.cfg.Name)
	// The consumer of the first partition is made last.
	w.whileThere(ctx, nc, stream, bucket.KeyConsumer(0), func(ctx context.Context) error {
		return newKeyedWork(w, nc, stream, nc.NewInbox()).run(ctx)
	})
}

func newKeyedWork(w *Instance, nc *nats.Conn, stream, inbox string) *keyedWork {
	return &keyedWork{
		w: w, nc: nc, stream: stream, inbox: inbox,
		wake: make(chan struct{}, 1), readers: make(chan struct{}, maxReaders),
	}
}

// run owns this instance's share of the partitions until something goes wrong.
func (k *keyedWork) run(ctx context.Context) error {
	sub, err := k.nc.Subscribe(k.inbox+".*", k.receive)
	if err != nil {
		return err
	}
	leave, err := k.joinCrew()
	if err != nil {
		_ = sub.Unsubscribe() // fails only on a closed connection
		return err
	}
	defer func() {
		leave()
		owned := false
		for n := range k.parts {
			owned = k.release(n, true) || owned
		}
		if owned {
			// What the broker has sent before it was told comes still, and is handed
			// back; dropped by an ended subscription it would wait for AckWait.
			pause(context.Background(), lateTime)
		}
		drain(k.nc, sub, time.Second, k.w.log)
		k.reading.Wait()
	}()
	k.crew.publish(stateReady) // and those who are there tell of themselves
	pause(ctx, meet)
	ticker := time.NewTicker(keyedLook)
	defer ticker.Stop()
	for {
		if err := k.look(); err != nil {
			return err
		}
		select {
		case <-k.wake:
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// look takes and gives up partitions, and does for each what is due.
func (k *keyedWork) look() error {
	k.mu.Lock()
	if k.trouble != nil {
		defer k.mu.Unlock()
		return k.trouble
	}
	var due []func()
	if k.crew.beats() {
		due = append(due, func() { k.crew.publish(stateReady) })
	}
	owners := share(k.crew.present())
	for n, owner := range owners {
		p := k.parts[n]
		switch {
		case owner != k.w.id && p != nil:
			due = append(due, func() { k.release(n, true) })
		case owner != k.w.id, p == nil && k.rests[n] > clock():
		case p == nil:
			p = newPartition(k, n)
			k.parts[n] = p
			fallthrough
		default:
			due = append(due, p.look()...)
		}
	}
	k.pump() // mpu may have been raised
	k.mu.Unlock()
	for _, do := range due {
		do()
	}
	return nil
}

// release gives a partition up. What runs is finished here, and until then its
// next owner begins nothing; what does not run is handed back. It says whether
// the partition was owned.
func (k *keyedWork) release(n int, unpin bool) (owned bool) {
	k.mu.Lock()
	p := k.parts[n]
	k.parts[n] = nil
	if p == nil {
		k.mu.Unlock()
		return false
	}
	waiting := p.close()
	pinned := p.pin != ""
	k.mu.Unlock()
	for _, in := range waiting {
		k.w.handBackJob(in)
	}
	if !pinned || !unpin {
		return pinned
	}
	// Best effort: without it the broker waits for KeyPinned.
	_ = k.nc.PublishRequest(jetstream.DefaultAPIPrefix+"CONSUMER.UNPIN."+k.stream+"."+bucket.KeyConsumer(n), k.inbox+".unpinned",
		[]byte(`{"group":"`+bucket.KeyGroup+`"}`))
	return true
}

// receive takes messages and what the broker says of pulls. Both end in the
// number of the partition.
func (k *keyedWork) receive(m *nats.Msg) {
	n, err := strconv.Atoi(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:])
	if err != nil || n < 0 || n >= bucket.Partitions {
		return // the answer to giving up a partition
	}
	if m.Reply == "" && len(m.Data) == 0 && m.Header.Get(statusHeader) != "" { // what is stored may say so too, and has a reply subject
		k.heed(n, m)
		return
	}
	k.take(n, m)
}

// heed acts on what the broker says of a pull.
func (k *keyedWork) heed(n int, m *nats.Msg) {
	k.mu.Lock()
	p := k.parts[n]
	if p == nil {
		k.mu.Unlock()
		return
	}
	p.heardAt = clock()
	lost := false
	switch status := m.Header.Get(statusHeader); status {
	case "100": // a heartbeat
	case "408": // a pull's time is up
		p.pullOver()
	case "423": // another was given the partition meanwhile
		lost = true
	case noResponders:
		lost = true
		k.missing(n, "nobody answers for consumer %s of stream %s")
	default:
		p.lose()
		if m.Header.Get("Description") == "Consumer Deleted" {
			lost = true
			k.missing(n, "consumer %s of stream %s was deleted")
		}
	}
	k.mu.Unlock()
	if lost {
		k.release(n, false)
	}
	k.w.link.kick(k.wake)
}

// missing leaves a partition alone for a while. When the first consumer is not
// there, mostly none is. mu is held.
func (k *keyedWork) missing(n int, text string) {
	err := fmt.Errorf(text, bucket.KeyConsumer(n), k.stream)
	k.rests[n] = clock().add(rest)
	if n == 0 {
		k.trouble = err
		return
	}
	k.w.log.warn("a partition of the messages with a key is not served now; the proxy makes its consumer again", func(e *zerolog.Event) { e.Err(err) })
}

// take queues one message behind those of its key.
func (k *keyedWork) take(n int, m *nats.Msg) {
	w := k.w
	in := &w.newJob(m).in[0]
	in.job.keyed = true
	k.mu.Lock()
	p := k.parts[n]
	known := p != nil && !p.came(in)
	k.mu.Unlock()
	if known {
		return // it has come again, and is in hand
	}
	w.jobs.add(in.job)
	if in.job.handouts <= 1 {
		k.read(p, in)
		return
	}
	// What is known of its failures is asked of the broker. After a death many
	// come at once, and one after another they would take longer than they are safe.
	k.readers <- struct{}{}
	k.reading.Go(func() {
		defer func() { <-k.readers }()
		k.read(p, in)
	})
}

// read fills in the rest of a message, and queues it.
func (k *keyedWork) read(p *partition, in *inbound) {
	w := k.w
	if p == nil {
		if w.readJob(context.Background(), in) {
			w.handBackJob(in)
		}
		return
	}
	read := w.readJob(context.Background(), in) // may ask the broker
	if read && w.view.Load().paused() {
		w.handBackJob(in)
		read = false
	}
	k.mu.Lock()
	p.reading--
	if !read {
		k.mu.Unlock()
		return
	}
	closed, forgotten := p.closed, p.held[in.job.sequence] != in
	if !closed && !forgotten {
		p.place(in)
	}
	k.mu.Unlock()
	switch {
	case closed:
		w.handBackJob(in)
	case forgotten:
		w.jobs.end(in.job) // it comes again
	}
}

// admit lets a message run when mpu has room. mu is held.
func (k *keyedWork) admit(in *inbound) {
	k.ready.push(in)
	k.pump()
}

// pump gives the dispatcher as many messages as mpu has room for, so that they
// share it with what comes in otherwise. mu is held.
func (k *keyedWork) pump() {
	for k.ready.len() > 0 && k.admitted < k.w.dispatch.most() {
		in := k.ready.pop()
		if in.job.part.held[in.job.sequence] != in {
			continue // it was handed back
		}
		k.admitted++
		in.job.admitted = true
		in.came = clock() // before, it waited for its key's turn
		k.w.dispatch.push(in)
	}
}

// leaves is called when a message is no longer with the dispatcher. mu is held.
func (k *keyedWork) leaves(j *job) {
	if j.admitted {
		j.admitted = false
		k.admitted--
	}
	k.pump()
}

// ask pulls for a partition. An empty pin asks to become its owner.
func (k *keyedWork) ask(n, batch int, pin string) {
	request, err := json.Marshal(struct {
		Batch     int           `json:"batch"`
		Expires   time.Duration `json:"expires"`
		Heartbeat time.Duration `json:"idle_heartbeat"`
		Group     string        `json:"group"`
		Pin       string        `json:"id,omitempty"`
	}{batch, pullTime, pullBeat, bucket.KeyGroup, pin})
	if err == nil {
		err = k.nc.PublishRequest(jetstream.DefaultAPIPrefix+"CONSUMER.MSG.NEXT."+k.stream+"."+bucket.KeyConsumer(n),
			k.inbox+"."+strconv.Itoa(n), request)
	}
	if err != nil {
		k.mu.Lock()
		k.trouble = err
		k.mu.Unlock()
	}
}
