package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/bucket"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// hops of the durable line.
var hops = []string{"one", "two", "three"}

func openDurableLine(s *site) (raw, ours measure, err error) {
	if err := s.register(
		damrey.Registration{Name: "src", Commands: []damrey.Command{stored("one")}},
		damrey.Registration{Name: "one", Commands: []damrey.Command{stored("two")}},
		damrey.Registration{Name: "two", Commands: []damrey.Command{stored("three")}},
		damrey.Registration{Name: "three"}); err != nil {
		return nil, nil, err
	}
	js, err := s.jobs(hops...)
	if err != nil {
		return nil, nil, err
	}
	arrived := newArrivals()
	for i, hop := range hops {
		if err := s.rawHop(hop, hops[i+1:], arrived.one); err != nil {
			return nil, nil, err
		}
		if _, err := s.instance(s.broker.ClientURL(), hop, func(context.Context, damrey.Msg) (damrey.Msg, error) {
			if hop == hops[len(hops)-1] {
				arrived.one()
				return nil, nil
			}
			return damrey.NewRequest(message[1], message[2:]...), nil
		}); err != nil {
			return nil, nil, err
		}
	}
	raw = func(n int) (float64, error) {
		return arrived.throughput(n, func() error {
			m := &nats.Msg{Subject: rawPrefix + ".job.one.ask.src", Data: []byte(payload)}
			_, err := js.PublishMsgAsync(m, jetstream.WithMsgID(fmt.Sprint("raw-", ids.Add(1))), jetstream.WithStallWait(patience))
			return err
		}, func() error { <-js.PublishAsyncComplete(); return nil })
	}
	src, err := s.instance(s.broker.ClientURL(), "src", nil)
	if err != nil {
		return nil, nil, err
	}
	ctx := context.Background()
	ours = func(n int) (float64, error) {
		return arrived.throughput(n,
			func() error { src.SendAsync(ctx, message[1], message[2:]...); return nil },
			func() error { return src.Flush(ctx) })
	}
	return raw, ours, nil
}

// rawHop takes what is stored for a hop, stores it for the first of those
// behind it, and acknowledges when it is there.
func (s *site) rawHop(hop string, behind []string, arrived func()) error {
	nc, err := s.connect(s.broker.ClientURL())
	if err != nil {
		return err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	consumer, err := js.Consumer(ctx, bucket.JobsStream(rawPrefix, hop), bucket.JobsConsumer)
	if err != nil {
		return err
	}
	type passed struct {
		m  jetstream.Msg
		is jetstream.PubAckFuture
	}
	out := make(chan passed, 4096)
	go func() {
		for p := range out {
			<-p.is.Ok()
			if p.m.Ack() != nil {
				return
			}
		}
	}()
	running, err := consumer.Consume(func(m jetstream.Msg) {
		if len(behind) == 0 {
			if m.Ack() == nil {
				arrived()
			}
			return
		}
		next := &nats.Msg{Subject: rawPrefix + ".job." + behind[0] + ".ask." + hop, Data: m.Data()}
		future, err := js.PublishMsgAsync(next, jetstream.WithMsgID(m.Headers().Get(jetstream.MsgIDHeader)+"."+hop), jetstream.WithStallWait(patience))
		if err == nil {
			out <- passed{m, future}
		}
	}, jetstream.PullMaxMessages(damrey.DefaultMPU))
	if err != nil {
		return err
	}
	s.undo = append(s.undo, func() { running.Stop(); <-running.Closed(); close(out) })
	return nil
}

func openDurableLatency(s *site) (raw, ours measure, err error) {
	js, err := s.sink()
	if err != nil {
		return nil, nil, err
	}
	handled := make(chan struct{}, 1)
	if err := s.rawHop("sink", nil, func() { handled <- struct{}{} }); err != nil {
		return nil, nil, err
	}
	if _, err := s.instance(s.broker.ClientURL(), "sink", func(context.Context, damrey.Msg) (damrey.Msg, error) {
		handled <- struct{}{}
		return nil, nil
	}); err != nil {
		return nil, nil, err
	}
	src, err := s.instance(s.broker.ClientURL(), "src", nil)
	if err != nil {
		return nil, nil, err
	}
	hop := func(send func(context.Context) error) measure {
		return calls(1, func() error {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if err := send(ctx); err != nil {
				return err
			}
			select {
			case <-handled:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}
	return hop(func(ctx context.Context) error {
			m := &nats.Msg{Subject: rawPrefix + ".job.sink.ask.src", Data: []byte(payload)}
			_, err := js.PublishMsg(ctx, m, jetstream.WithMsgID(fmt.Sprint("raw-", ids.Add(1))))
			return err
		}), hop(func(ctx context.Context) error {
			return src.Send(ctx, message[1], message[2:]...)
		}), nil
}

// manyKeys of the row that compares with none.
const manyKeys = 10_000

func openKeyed(s *site) (raw, ours measure, err error) {
	keyed := stored("ordered")
	keyed.Name, keyed.Key = "keyed", damrey.KeyArg(0)
	if err := s.register(
		damrey.Registration{Name: "src", Commands: []damrey.Command{stored("sink"), keyed}},
		damrey.Registration{Name: "sink"}, damrey.Registration{Name: "ordered"}); err != nil {
		return nil, nil, err
	}
	js, err := s.jobs("sink", "ordered")
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := bucket.EnsureKeyed(ctx, js, damrey.DefaultPrefix, "ordered"); err != nil {
		return nil, nil, err
	}
	src, err := s.instance(s.broker.ClientURL(), "src", nil)
	if err != nil {
		return nil, nil, err
	}
	through := func(worker, typ string) measure {
		return func(n int) (float64, error) {
			ctx := context.Background()
			for i := range n {
				src.SendAsync(ctx, typ, fmt.Sprint("key-", i%manyKeys), message[3])
			}
			if err := src.Flush(ctx); err != nil {
				return 0, err
			}
			return s.work(worker, n)
		}
	}
	return through("sink", message[1]), through("ordered", keyed.Name), nil
}

// work runs an instance until it has handled n stored messages. What counts is
// the time from the first one on, since the owners of partitions are found first.
func (s *site) work(worker string, n int) (float64, error) {
	var began time.Time
	var first sync.Once
	a := newArrivals()
	a.left.Store(int64(n))
	w := damrey.New(damrey.Config{Name: worker}, zerolog.Nop(), damrey.WithConnect(damrey.ConnectConfig{URL: s.broker.ClientURL()}))
	w.Handle("*", func(context.Context, damrey.Msg) (damrey.Msg, error) {
		first.Do(func() { began = time.Now() })
		a.one()
		return nil, nil
	})
	failed := make(chan error, 1)
	go func() { failed <- w.Serve(context.Background()) }()
	defer func() { w.Stop(); <-failed }()
	select {
	case <-a.all:
		return float64(n) / time.Since(began).Seconds(), nil
	case <-time.After(patience):
		return 0, errors.New("not all messages arrived")
	}
}
