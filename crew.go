package damrey

import (
	"encoding/json"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/damrey/damrey/internal/bucket"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

const (
	// beatEvery is how often an instance tells the others of its worker that it
	// is there.
	beatEvery = 2 * time.Second
	// beatsMissed is how many an instance may miss until it counts as gone.
	beatsMissed = 3
)

// crewBeat is what an instance says on <prefix>.crew.<worker>.<instance>.
type crewBeat struct {
	State string `json:"state"`
}

const (
	stateReady = "ready"
	stateLeft  = "left"
)

// crew are the instances of a worker that share its partitions. Each finds out
// by itself which are its own; where they disagree for a moment, the broker
// gives a partition's messages to one.
type crew struct {
	id      string
	heard   map[string]moment
	beatAt  moment
	publish func(state string)
}

// hear takes another's beat. One that is new is told at once of this one.
func (c *crew) hear(id, state string) {
	if id == c.id {
		return
	}
	if state == stateLeft {
		delete(c.heard, id)
		return
	}
	if _, known := c.heard[id]; !known {
		c.beatAt = 0
	}
	c.heard[id] = clock()
}

// present are the ids of those who are there.
func (c *crew) present() []string {
	now := clock()
	ids := []string{c.id}
	for id, at := range c.heard {
		if now.since(at) > beatsMissed*beatEvery {
			delete(c.heard, id)
			continue
		}
		ids = append(ids, id)
	}
	return ids
}

// beats says that it is time to tell the others of this one.
func (c *crew) beats() bool {
	now := clock()
	if c.beatAt != 0 && now.since(c.beatAt) < beatEvery {
		return false
	}
	c.beatAt = now
	return true
}

// share gives each partition to an instance, the same from everybody's view:
// of those that have not got their part yet, the one that ranks highest for
// it. So few change hands when an instance comes or goes.
func share(ids []string) (owners [bucket.Partitions]string) {
	slices.Sort(ids)
	most := (bucket.Partitions + len(ids) - 1) / len(ids)
	has := make(map[string]int, len(ids))
	for p := range owners {
		var best uint32
		for _, id := range ids {
			if has[id] == most {
				continue
			}
			if r := rank(id, p); owners[p] == "" || r > best {
				owners[p], best = id, r
			}
		}
		has[owners[p]]++
	}
	return owners
}

func rank(id string, partition int) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // never fails
	_, _ = h.Write([]byte{byte(partition)})
	// FNV's last byte changes little of the sum.
	n := h.Sum32()
	n ^= n >> 16
	n *= 0x85ebca6b
	return n ^ n>>13
}

// joinCrew begins to tell and to hear.
func (k *keyedWork) joinCrew() (leave func(), err error) {
	w := k.w
	k.crew = crew{id: w.id, heard: make(map[string]moment)}
	own := crewSubject(w.opts.prefix, w.cfg.Name, w.id)
	k.crew.publish = func(state string) {
		data, err := json.Marshal(crewBeat{state})
		if err == nil {
			err = k.nc.Publish(own, data)
		}
		if err != nil {
			w.log.warn("could not tell the other instances that this one is there", func(e *zerolog.Event) { e.Err(err) })
		}
	}
	sub, err := k.nc.Subscribe(crewSubject(w.opts.prefix, w.cfg.Name, "*"), func(m *nats.Msg) {
		var b crewBeat
		if json.Unmarshal(m.Data, &b) != nil {
			w.stats.malformed.Add(1)
			return
		}
		k.mu.Lock()
		k.crew.hear(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:], b.State)
		k.mu.Unlock()
		w.link.kick(k.wake)
	})
	if err != nil {
		return nil, err
	}
	return func() {
		_ = sub.Unsubscribe() // fails only on a closed connection
		k.crew.publish(stateLeft)
	}, nil
}
