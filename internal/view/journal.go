package view

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/damrey/damrey/internal/api"
)

// kept is how many events are remembered.
const kept = 2000

// Journal remembers the last events. Whoever reads it keeps the number of the last one it has, so that a slow reader
// holds up nobody and learns how many it missed. It is safe for concurrent use.
type Journal struct {
	name string // of this run, in every id

	mu      sync.Mutex // guards what follows
	events  []api.Event
	last    uint64 // number of the newest, 0 before the first
	changed chan struct{}
}

// newJournal makes an empty one. name tells the events of this run from those of others.
func newJournal(name string) *Journal {
	return &Journal{name: name, changed: make(chan struct{})}
}

// Add appends an event and gives it its id.
func (j *Journal) Add(at time.Time, e api.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last++
	e.ID, e.At = j.id(j.last), at.UTC()
	if len(j.events) < kept {
		j.events = append(j.events, e)
	} else {
		j.events[(j.last-1)%kept] = e
	}
	close(j.changed)
	j.changed = make(chan struct{})
}

// Last is the number of the newest event.
func (j *Journal) Last() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.last
}

// After are up to most events after one, by number, with the number of the last of them, how many between are forgotten, and
// what is closed when there are more.
func (j *Journal) After(n uint64, most int) (events []api.Event, next, missed uint64, more <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	n = min(n, j.last)
	if oldest := j.last - uint64(len(j.events)); n < oldest {
		missed = oldest - n
		n = oldest
	}
	for ; n < j.last && len(events) < most; n++ {
		events = append(events, j.events[n%kept])
	}
	return events, n, missed, j.changed
}

// Resume is the number of the event with an id. It is false of an id that is not of this run, and of one that is yet to come.
func (j *Journal) Resume(id string) (uint64, bool) {
	name, number, _ := strings.Cut(id, "-")
	n, err := strconv.ParseUint(number, 10, 64)
	j.mu.Lock()
	defer j.mu.Unlock()
	return n, err == nil && name == j.name && n <= j.last
}

// Gap is the event that says that events between are missing. Its id is that of the last that is missing, so that a reader goes on
// after it.
func (j *Journal) Gap(at time.Time, next uint64, text string) api.Event {
	return api.Event{ID: j.id(next), At: at.UTC(), Kind: api.EventGap, Text: text}
}

func (j *Journal) id(n uint64) string { return j.name + "-" + strconv.FormatUint(n, 10) }
