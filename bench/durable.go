package bench

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/bucket"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// rawPrefix names the stream by hand, which is set as ours is.
const rawPrefix = "raw"

// jobs makes the streams of workers, as the proxy would: one for us and one by
// hand.
func (s *site) jobs(workers ...string) (jetstream.JetStream, error) {
	nc, err := s.connect(s.broker.ClientURL())
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := bucket.EnsureDead(ctx, js, damrey.DefaultPrefix); err != nil {
		return nil, err
	}
	for _, worker := range workers {
		for _, prefix := range []string{rawPrefix, damrey.DefaultPrefix} {
			if err := bucket.EnsureJobs(ctx, js, prefix, worker, bucket.Limits{}); err != nil {
				return nil, err
			}
		}
	}
	for _, prefix := range []string{rawPrefix, damrey.DefaultPrefix} {
		if err := s.fill(js, prefix, workers[0]); err != nil {
			return nil, err
		}
	}
	return js, nil
}

// fill stores messages where nobody takes them, as a route that is paused does.
func (s *site) fill(js jetstream.JetStream, prefix, worker string) error {
	for range s.stored {
		if _, err := js.PublishAsync(prefix+".held."+worker+".ask.src.bench", []byte(payload), jetstream.WithStallWait(patience)); err != nil {
			return err
		}
	}
	<-js.PublishAsyncComplete()
	return nil
}

// sink registers src, which stores for the worker sink.
func (s *site) sink() (jetstream.JetStream, error) {
	if err := s.register(damrey.Registration{Name: "src", Commands: []damrey.Command{stored("sink")}}, damrey.Registration{Name: "sink"}); err != nil {
		return nil, err
	}
	return s.jobs("sink")
}

func stored(worker string) damrey.Command {
	return damrey.Command{Name: message[1], Worker: worker, Delivery: damrey.Durable}
}

func purge(js jetstream.JetStream, prefix string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stream, err := js.Stream(ctx, bucket.JobsStream(prefix, "sink"))
	if err != nil {
		return err
	}
	return stream.Purge(ctx, jetstream.WithPurgeSubject(prefix+".job.>"))
}

// publishJobs stores n messages, each under an id of its own.
func publishJobs(js jetstream.JetStream, prefix string, n int) error {
	for range n {
		m := &nats.Msg{Subject: prefix + ".job.sink.ask.src", Data: []byte(payload)}
		if _, err := js.PublishMsgAsync(m, jetstream.WithMsgID(fmt.Sprint("raw-", ids.Add(1))), jetstream.WithStallWait(patience)); err != nil {
			return err
		}
	}
	<-js.PublishAsyncComplete()
	return nil
}

// allStored makes sure that n messages are in the stream.
func allStored(js jetstream.JetStream, prefix string, n int) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stream, err := js.Stream(ctx, bucket.JobsStream(prefix, "sink"))
	if err != nil {
		return err
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(prefix+".job.>"))
	if err != nil {
		return err
	}
	var stored uint64
	for _, n := range info.State.Subjects {
		stored += n
	}
	if stored != uint64(n) {
		return fmt.Errorf("%d of %d messages were stored", stored, n)
	}
	return nil
}

var ids atomic.Int64

func openDurableSend(s *site) (raw, ours measure, err error) {
	js, err := s.sink()
	if err != nil {
		return nil, nil, err
	}
	raw = func(n int) (float64, error) {
		took, err := timed(func() error { return publishJobs(js, rawPrefix, n) })
		if err != nil {
			return 0, err
		}
		return float64(n) / took, errors.Join(allStored(js, rawPrefix, n), purge(js, rawPrefix))
	}
	w, err := s.instance(s.broker.ClientURL(), "src", nil)
	if err != nil {
		return nil, nil, err
	}
	ctx := context.Background()
	ours = func(n int) (float64, error) {
		took, err := timed(func() error {
			for range n {
				w.SendAsync(ctx, message[1], message[2], message[3])
			}
			return w.Flush(ctx)
		})
		if err != nil {
			return 0, err
		}
		return float64(n) / took, errors.Join(allStored(js, damrey.DefaultPrefix, n), purge(js, damrey.DefaultPrefix))
	}
	return raw, ours, nil
}

func openDurableWork(s *site) (raw, ours measure, err error) {
	js, err := s.sink()
	if err != nil {
		return nil, nil, err
	}
	raw = func(n int) (float64, error) {
		if err := publishJobs(js, rawPrefix, n); err != nil {
			return 0, err
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		cons, err := js.Consumer(ctx, bucket.JobsStream(rawPrefix, "sink"), bucket.JobsConsumer)
		if err != nil {
			return 0, err
		}
		a := newArrivals()
		return a.await(n, func() (func(), error) {
			running, err := cons.Consume(func(m jetstream.Msg) {
				if m.Ack() == nil {
					a.one()
				}
			}, jetstream.PullMaxMessages(damrey.DefaultMPU))
			if err != nil {
				return nil, err
			}
			return func() { running.Drain(); <-running.Closed() }, nil
		})
	}
	ours = func(n int) (float64, error) {
		if err := publishJobs(js, damrey.DefaultPrefix, n); err != nil {
			return 0, err
		}
		a := newArrivals()
		return a.await(n, func() (func(), error) {
			w := damrey.New(damrey.Config{Name: "sink"}, zerolog.Nop(), damrey.WithConnect(damrey.ConnectConfig{URL: s.broker.ClientURL()}))
			w.Handle("*", func(context.Context, damrey.Msg) (damrey.Msg, error) { a.one(); return nil, nil })
			failed := make(chan error, 1)
			go func() { failed <- w.Serve(context.Background()) }()
			return func() { w.Stop(); <-failed }, nil
		})
	}
	return raw, ours, nil
}
