package damrey

import (
	"fmt"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/damrey/damrey/internal/bucket"
)

func TestShare_IsEvenAndMovesLittle(t *testing.T) {
	t.Parallel()
	var ids []string
	var before [bucket.Partitions]string
	for n := 1; n <= 20; n++ {
		ids = append(ids, fmt.Sprintf("instance-%d", n*7))
		owners := share(ids)
		count := map[string]int{}
		moved := 0
		for p, owner := range owners {
			count[owner]++
			if owner != before[p] {
				moved++
			}
		}
		most := (bucket.Partitions + n - 1) / n
		for id, has := range count {
			if has > most {
				t.Errorf("with %d instances %s has %d partitions, at most %d", n, id, has, most)
			}
		}
		if n > 1 && moved > bucket.Partitions/2+2 {
			t.Errorf("the %dth instance moved %d partitions", n, moved)
		}
		before = owners
	}
}

func TestPartitionOf_StaysWhereItIs(t *testing.T) {
	t.Parallel()
	// Messages that are stored would be overtaken by those that come.
	for key, want := range map[string]int{"": 5, "a": 12, "order-42": 4, "größe": 10} {
		if got := partitionOf(key); got != want {
			t.Errorf("partitionOf(%q) = %d, was %d", key, got, want)
		}
	}
}

// The broker's word that a message is still this instance's may come after it
// was refused for lack of that word. It was not run then, and its key waited for
// ever while the broker was told that all is in progress.
func TestPartition_RunsWhatItRefusedTooEarly(t *testing.T) {
	t.Parallel()
	w := New(Config{Name: "add"}, zerolog.Nop())
	w.link = &link{}
	k := newKeyedWork(w, nil, "", "")
	p := newPartition(k, 0)
	p.settled, p.confirms, p.left, p.sure = true, true, bucket.KeyWindow, clock().add(-time.Hour)
	started := make(chan bool, 1)
	w.dispatch = newDispatcher(1, 1, func(in *inbound, _ moment) moment { started <- p.starts(in); return 0 }, func() int { return 0 })
	came := clock().add(-heldSafe - time.Second)
	in := &inbound{envelope: &envelope{}, job: &job{sequence: 1, key: "a", keyed: true, part: p, cameAt: came, askedAt: came}}
	await := func(want bool) {
		t.Helper()
		select {
		case got := <-started:
			if got != want {
				t.Fatalf("started is %v, want %v", got, want)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("it was not asked to start; want %v", want)
		}
	}
	k.mu.Lock()
	p.held[1] = in
	p.place(in)
	k.mu.Unlock()
	await(false)

	k.mu.Lock()
	p.sure = clock() // as confirm does
	p.look()
	k.mu.Unlock()
	await(true)
}
