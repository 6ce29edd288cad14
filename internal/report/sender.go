package report

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"time"
)

// atLeast is the time between two beats however often the state changes.
const atLeast = 100 * time.Millisecond

// Sender publishes the beats of one instance, agent or proxy.
type Sender struct {
	prefix  string
	now     func() Beat
	publish func(subject string, data []byte) error
	changed chan struct{}
	apart   int // routes told apart each way
}

// NewSender makes a sender. now is asked for every beat, but for when it is; publish may block, and whose error it returns
// has said so: the next beat tells the same and more.
func NewSender(prefix string, now func() Beat, publish func(subject string, data []byte) error) *Sender {
	return &Sender{prefix: prefix, now: now, publish: publish, changed: make(chan struct{}, 1), apart: MaxRoutes}
}

// Changed makes the next beat come at once. It never blocks.
func (s *Sender) Changed() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Run sends until ctx ends, and a last one then that says so.
func (s *Sender) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			b := s.now()
			b.State = Left
			s.send(b)
			return
		case <-timer.C:
		case <-s.changed:
		}
		s.send(s.now())
		timer.Reset(Every*8/10 + rand.N(Every*4/10))
		select {
		case <-time.After(atLeast):
		case <-ctx.Done():
		}
	}
}

func (s *Sender) send(b Beat) {
	b.At = time.Now().UTC()
	data, err := b.encode(&s.apart)
	if err == nil {
		err = s.publish(Subject(s.prefix, b.Worker, b.Instance), data)
	}
	_ = err // publish has said so; numbers, texts and times always marshal
}

// encode tells fewer routes apart until the beat fits, and so do those after it: what has once fallen together stays so.
func (b Beat) encode(apart *int) ([]byte, error) {
	for {
		b.In, b.Out = together(b.In, *apart, In.plus), together(b.Out, *apart, Out.plus)
		data, err := json.Marshal(b)
		if err != nil || len(data) <= MaxSize || *apart == 0 {
			return data, err
		}
		*apart /= 2
	}
}

// together adds what comes after the first apart routes up, as the last one.
func together[T any](all []T, apart int, plus func(T, T) T) []T {
	if len(all) <= apart+1 {
		return all
	}
	rest := all[len(all)-1]
	for _, one := range all[apart : len(all)-1] {
		rest = plus(rest, one)
	}
	return append(all[:apart:apart], rest)
}

func (i In) plus(other In) In {
	i.From, i.Type = Other, Other
	i.Handled += other.Handled
	i.Errors += other.Errors
	i.Timeouts += other.Timeouts
	i.Busy += other.Busy
	i.Malformed += other.Malformed
	i.InFlight += other.InFlight
	i.Wait += other.Wait
	i.Work += other.Work
	i.Stay = i.Stay.Plus(other.Stay)
	if other.LastError != "" && !other.LastAt.Before(i.LastAt) {
		i.LastError, i.LastCode, i.LastAt = other.LastError, other.LastCode, other.LastAt
	}
	return i
}

func (o Out) plus(other Out) Out {
	if o.From != "" {
		o.From = Other
	}
	o.Type, o.To = Other, Other
	o.Sent += other.Sent
	o.Timeouts += other.Timeouts
	o.Stopped += other.Stopped
	o.Undelivered += other.Undelivered
	return o
}
