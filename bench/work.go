package bench

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// The message of every row: four strings, about 50 bytes.
var message = [...]string{"REQUEST", "ask", "12345", "hello world of workers"}

const payload = `["REQUEST","ask","12345","hello world of workers"]`

// arrivals counts what came until all did.
type arrivals struct {
	left atomic.Int64
	all  chan struct{}
}

func newArrivals() *arrivals { return &arrivals{all: make(chan struct{}, 1)} }

func (a *arrivals) one() {
	if a.left.Add(-1) == 0 {
		a.all <- struct{}{}
	}
}

// throughput sends n and waits until all have arrived.
func (a *arrivals) throughput(n int, send func() error, flush func() error) (float64, error) {
	a.left.Store(int64(n))
	began := time.Now()
	for range n {
		if err := send(); err != nil {
			return 0, err
		}
	}
	if err := flush(); err != nil {
		return 0, err
	}
	select {
	case <-a.all:
	case <-time.After(patience):
		return 0, errors.New("not all messages arrived")
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// await starts something and gives the throughput until n have arrived.
func (a *arrivals) await(n int, start func() (stop func(), err error)) (float64, error) {
	a.left.Store(int64(n))
	began := time.Now()
	stop, err := start()
	if err != nil {
		return 0, err
	}
	defer stop()
	select {
	case <-a.all:
		return float64(n) / time.Since(began).Seconds(), nil
	case <-time.After(patience):
		return 0, errors.New("not all messages arrived")
	}
}

// timed returns how many seconds f takes.
func timed(f func() error) (seconds float64, err error) {
	began := time.Now()
	err = f()
	return time.Since(began).Seconds(), err
}

// calls makes n calls, some at a time: throughput, or for one at a time the
// microseconds of each.
func calls(inFlight int, call func() error) measure {
	return func(n int) (float64, error) {
		var wg sync.WaitGroup
		var failed atomic.Pointer[error]
		began := time.Now()
		for range inFlight {
			wg.Go(func() {
				for range n / inFlight {
					if err := call(); err != nil {
						failed.CompareAndSwap(nil, &err)
						return
					}
				}
			})
		}
		wg.Wait()
		if err := failed.Load(); err != nil {
			return 0, *err
		}
		spent := time.Since(began)
		if inFlight == 1 {
			return float64(spent.Microseconds()) / float64(n), nil
		}
		return float64(n/inFlight*inFlight) / spent.Seconds(), nil
	}
}

// rawSend measures publish → subscribe on two connections.
func rawSend(s *site, url string) (measure, error) {
	in, err := s.connect(url)
	if err != nil {
		return nil, err
	}
	out, err := s.connect(url)
	if err != nil {
		return nil, err
	}
	a := newArrivals()
	sub, err := in.QueueSubscribe("raw.*.*.*", "raw", func(*nats.Msg) { a.one() })
	if err != nil {
		return nil, err
	}
	if err := errors.Join(sub.SetPendingLimits(-1, -1), in.Flush()); err != nil {
		return nil, err
	}
	data := []byte(payload)
	return func(n int) (float64, error) {
		return a.throughput(n, func() error { return out.Publish("raw.sink.ask.src", data) }, out.Flush)
	}, nil
}
