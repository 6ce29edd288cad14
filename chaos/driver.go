package chaos

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/damrey/damrey"
)

const (
	keyCount   = 40                     // whose messages stay in order
	looseCount = 10                     // whose messages do not
	sendEvery  = 250 * time.Millisecond // of each key, together 200 a second
	sendTime   = 15 * time.Second       // longer than electing a leader takes
	lateAnswer = 5 * time.Second        // a Send may be late by, while a link is frozen
	againEvery = 10                     // of the messages with ids are sent once more though they are stored
)

// fate is what the driver knows of a message.
type fate int

const (
	undecided fate = iota
	stored         // Send returned nil
	unknown        // it returned an error, and the message may be stored
)

// sent is a message of the driver.
type sent struct {
	id       string
	key      string
	number   int
	withID   bool
	fate     fate
	began    time.Time // when it was first sent
	storedAt time.Time
	again    int   // sends under the id of a stored message that returned nil
	err      error // the last one
}

// driver sends durable messages, those of one key one after another.
type driver struct {
	w     *damrey.Instance
	group sync.WaitGroup

	mu       sync.Mutex // guards what follows
	all      []*sent
	problems []string
}

// start sends until ctx ends. Under way then is finished, or given up when patience ends.
func (d *driver) start(ctx, patience context.Context) {
	for i := range keyCount {
		d.group.Go(func() { d.run(ctx, patience, fmt.Sprintf("key%02d", i), i%2 == 0) })
	}
	for i := range looseCount {
		// Without ids: their route changes, and an id is known at its target only.
		d.group.Go(func() { d.run(ctx, patience, fmt.Sprintf("key%02d%s", keyCount+i, loose), false) })
	}
}

// wait for the end of all that start has begun.
func (d *driver) wait() { d.group.Wait() }

func (d *driver) run(ctx, patience context.Context, key string, withID bool) {
	ticker := time.NewTicker(sendEvery)
	defer ticker.Stop()
	for number := 0; ; number++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		s := &sent{id: fmt.Sprintf("%s-%d", key, number), key: key, number: number, withID: withID, began: time.Now()}
		d.mu.Lock()
		d.all = append(d.all, s)
		d.mu.Unlock()
		d.send(patience, s)
		if withID && s.fate == stored && number%againEvery == 0 {
			d.sendAgain(patience, s)
		}
	}
}

// send until the message's fate is known; without an id only what is surely not stored is sent again.
func (d *driver) send(patience context.Context, s *sent) {
	for patience.Err() == nil {
		err := d.sendOnce(patience, s)
		switch {
		case err == nil:
			d.decide(s, stored, nil)
			return
		case errors.Is(err, damrey.ErrIDConflict):
			d.accuse("%s: %v", s.id, err)
			d.decide(s, unknown, err)
			return
		case !s.withID && !refused(err):
			d.decide(s, unknown, err)
			return
		}
		d.decide(s, undecided, err)
		sleep(patience, 100*time.Millisecond)
	}
}

// refused errors say that the message is surely not stored.
func refused(err error) bool {
	return errors.Is(err, damrey.ErrFull) || errors.Is(err, damrey.ErrNoRoute) || errors.Is(err, damrey.ErrPaused)
}

func (d *driver) sendOnce(patience context.Context, s *sent) error {
	ctx, cancel := context.WithTimeout(patience, sendTime)
	defer cancel()
	var opts []damrey.SendOption
	if s.withID {
		opts = append(opts, damrey.WithID(s.id))
	}
	began := time.Now()
	err := d.w.With(opts...).Send(ctx, typeOf(line[0], s.key), s.key, fmt.Sprint(s.number), s.id)
	if took := time.Since(began); took > sendTime+lateAnswer {
		d.accuse("%s: Send returned after %v of %v", s.id, took.Round(time.Millisecond), sendTime)
	}
	return err
}

// sendAgain is what the fabric must notice.
func (d *driver) sendAgain(patience context.Context, s *sent) {
	err := d.sendOnce(patience, s)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		s.again++
	}
}

func (d *driver) decide(s *sent, f fate, err error) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	s.fate, s.err = f, err
	if f == stored {
		s.storedAt = now
	}
}

func (d *driver) accuse(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.problems = append(d.problems, fmt.Sprintf(format, args...))
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
