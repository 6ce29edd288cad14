package damrey

import (
	"context"
	"errors"
	"math/rand/v2"
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
	// gather is how long a pull waits for more room when there is little.
	gather = time.Millisecond
)

// pullJobs takes stored messages for this worker while it receives, as many as
// its mpu has room for. It returns when ctx ends.
func (w *Instance) pullJobs(ctx context.Context, nc *nats.Conn) {
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
		cons, err := w.jobsConsumer(ctx, js)
		if err == nil {
			err = w.pullFrom(ctx, cons)
		}
		if ctx.Err() != nil {
			return
		}
		wait := pullLook
		if !errors.Is(err, jetstream.ErrStreamNotFound) && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			wait = watchRetry
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

func (w *Instance) jobsConsumer(ctx context.Context, js jetstream.JetStream) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	return js.Consumer(ctx, bucket.JobsStream(w.opts.prefix, w.cfg.Name), bucket.JobsConsumer)
}

// pullFrom pulls until something goes wrong.
func (w *Instance) pullFrom(ctx context.Context, cons jetstream.Consumer) error {
	for {
		room, err := w.dispatch.awaitRoom(ctx)
		if err != nil {
			return err
		}
		if err := w.pullOnce(ctx, cons, room); err != nil {
			return err
		}
	}
}

func (w *Instance) pullOnce(ctx context.Context, cons jetstream.Consumer, room int) error {
	short, cancel := context.WithTimeout(ctx, pullTime)
	defer cancel()
	batch, err := cons.Fetch(room, jetstream.FetchContext(short), jetstream.FetchHeartbeat(pullBeat))
	if err != nil {
		return err
	}
	for m := range batch.Messages() {
		// Also what comes after ctx has ended: it is handed back by the stop.
		w.takeJob(context.WithoutCancel(ctx), m)
	}
	if err := batch.Error(); err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, nats.ErrTimeout) {
		return err
	}
	return ctx.Err()
}
