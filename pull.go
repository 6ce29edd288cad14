package damrey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/damrey/damrey/internal/bucket"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

const (
	// pullTime is how long one pull waits at the broker. A short one is soon made
	// anew after a restart there.
	pullTime = 3 * time.Second
	// pullBeat is how often the broker says that a pull is still known to it.
	pullBeat = time.Second
	// pullLook is how often an instance looks whether there are jobs for its
	// worker at all, when nobody tells it.
	pullLook = 30 * time.Second
)

// puller takes stored messages for a worker while it receives, as many as its
// mpu has room for. nats.go's own drops what is on its way when it is stopped,
// and that would come again only after the ack wait; this one drains.
type puller struct {
	w    *Instance
	nc   *nats.Conn
	sub  *nats.Subscription
	next string // the subject that asks for more

	mu      sync.Mutex // guards what follows
	left    int        // asked for, and neither come nor refused
	trouble error
	heardAt moment // the broker's last sign of life
}

// keepPulling pulls while the worker is not paused. It returns when ctx ends
// and what was on its way has been taken.
func (w *Instance) keepPulling(ctx context.Context, nc *nats.Conn) {
	var puller background
	defer puller.stop()
	for pulls := false; ; {
		switch paused := w.view.Load().paused(); {
		case paused && pulls:
			puller.stop()
			pulls = false
		case !paused && !pulls:
			puller.start(func(ctx context.Context) { w.takeJobs(ctx, nc) })
			pulls = true
		}
		select {
		case <-w.pulling:
		case <-ctx.Done():
			return
		}
	}
}

// takeJobs returns when ctx ends and what was on its way has been taken.
func (w *Instance) takeJobs(ctx context.Context, nc *nats.Conn) {
	there := make(chan struct{}) // is closed when the worker has a stream of jobs
	var both sync.WaitGroup
	both.Go(func() { w.pullJobs(ctx, nc, sync.OnceFunc(func() { close(there) })) })
	both.Go(func() {
		select {
		case <-there:
			w.pullKeyed(ctx, nc)
		case <-ctx.Done():
		}
	})
	both.Wait()
}

func (w *Instance) pullJobs(ctx context.Context, nc *nats.Conn, there func()) {
	p := &puller{w: w, nc: nc}
	sub, err := nc.Subscribe(nc.NewInbox(), p.receive)
	if err != nil {
		w.log.Error().Err(err).Msg("cannot subscribe; this instance takes no stored messages")
		return
	}
	p.sub = sub
	stream := bucket.JobsStream(w.opts.prefix, w.cfg.Name)
	p.next = jetstream.DefaultAPIPrefix + "CONSUMER.MSG.NEXT." + stream + "." + bucket.JobsConsumer
	defer drain(nc, p.sub, time.Second, w.log)
	w.whileThere(ctx, nc, stream, bucket.JobsConsumer, func(ctx context.Context) error {
		there()
		return p.pull(ctx)
	})
}

// whileThere runs work while a consumer is there, again when it ends, until ctx
// ends. While it is not, it looks when the proxy tells that there are jobs.
func (w *Instance) whileThere(ctx context.Context, nc *nats.Conn, stream, consumer string, work func(context.Context) error) {
	js, err := jetstream.New(nc)
	if err != nil {
		w.log.Error().Err(err).Msg("JetStream cannot be used; this instance takes no stored messages")
		return
	}
	look := make(chan struct{}, 1)
	told, err := nc.Subscribe(JobsSubject(w.opts.prefix, w.cfg.Name), func(*nats.Msg) { w.link.kick(look) })
	if err != nil {
		w.log.Error().Err(err).Msg("cannot subscribe; stored messages are noticed late")
	} else {
		defer func() { _ = told.Unsubscribe() }() // fails only on a closed connection
	}
	status := nc.StatusChanged(nats.CONNECTED)
	defer nc.RemoveStatusListener(status)
	for ctx.Err() == nil {
		err := jobsThere(ctx, js, stream, consumer)
		if err == nil {
			err = work(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		wait := watchRetry
		if errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrConsumerNotFound) {
			wait = pullLook
		} else {
			w.log.warn("cannot pull stored messages now; trying on", func(e *zerolog.Event) { e.Err(err) })
		}
		timer := time.NewTimer(wait/2 + rand.N(wait))
		select {
		case <-look:
		case <-status:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// jobsThere looks whether the worker has stored messages at all.
func jobsThere(ctx context.Context, js jetstream.JetStream, stream, consumer string) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	_, err := js.Consumer(ctx, stream, consumer)
	return err
}

// pull pulls until something goes wrong. What is asked for and what is in hand
// is never more than mpu has room for.
func (p *puller) pull(ctx context.Context) error {
	p.mu.Lock()
	p.left, p.trouble, p.heardAt = 0, nil, clock()
	p.mu.Unlock()
	d := p.w.dispatch
	defer d.forget()
	ticker := time.NewTicker(pullBeat)
	defer ticker.Stop()
	for {
		if err := p.check(); err != nil {
			return err
		}
		if n := d.free(); n > 0 {
			d.expect(n)
			if err := p.ask(n); err != nil {
				return err
			}
			continue
		}
		select {
		case <-d.freed():
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

var errPullSilent = errors.New("the broker has forgotten what was asked of it")

func (p *puller) check() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trouble == nil && p.left > 0 && clock().since(p.heardAt) > 3*pullBeat {
		return errPullSilent
	}
	return p.trouble
}

func (p *puller) ask(n int) error {
	request, err := json.Marshal(struct {
		Batch     int           `json:"batch"`
		Expires   time.Duration `json:"expires"`
		Heartbeat time.Duration `json:"idle_heartbeat"`
	}{n, pullTime, pullBeat})
	if err != nil {
		return err
	}
	p.mu.Lock()
	if p.left == 0 {
		p.heardAt = clock()
	}
	p.left += n
	p.mu.Unlock()
	return p.nc.PublishRequest(p.next, p.sub.Subject, request)
}

// receive takes jobs and what the broker says of pulls.
func (p *puller) receive(m *nats.Msg) {
	status := ""
	if len(m.Data) == 0 && m.Header != nil {
		status = m.Header.Get(statusHeader)
	}
	came := 0
	p.mu.Lock()
	p.heardAt = clock()
	switch status {
	case "":
		came = 1
	case "100": // a heartbeat
	case "408": // a pull's time is up
		came, _ = strconv.Atoi(m.Header.Get("Nats-Pending-Messages"))
	default:
		p.trouble = fmt.Errorf("the broker says %s %s", status, m.Header.Get("Description"))
	}
	came = min(came, p.left)
	p.left -= came
	p.mu.Unlock()
	cost := 0
	if status == "" {
		cost = p.w.takeJob(context.Background(), m)
	}
	p.w.dispatch.came(came, cost)
}
