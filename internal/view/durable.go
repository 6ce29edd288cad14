package view

import (
	"maps"
	"math"
	"time"

	"github.com/damrey/damrey/internal/api"
)

// Store is what the stream of one worker's jobs holds.
type Store struct {
	Stored      uint64 // messages to be handled
	Pending     uint64 // not handed out
	Unacked     uint64 // in some instance's hand
	Redelivered uint64 // of them, not for the first time
	// Kept and Bytes are all that counts towards the limits, which are 0 without.
	Kept, Bytes           uint64
	MaxMessages, MaxBytes uint64
	Oldest                time.Duration // age of the oldest message
	// Routes is Stored by route, with the types that messages have, but for what is Held for a paused one. Nil: they are not
	// told apart.
	Routes, Held map[Key]uint64
}

// Fill is how much of the limits is used, 0 to 1.
func (s Store) Fill() float64 {
	return max(share(s.Kept, s.MaxMessages), share(s.Bytes, s.MaxBytes))
}

// SetStores is what is stored now, by worker, and how many dead letters there are, by route.
func (v *View) SetStores(now Instant, stores map[string]Store, dead map[Key]uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.advance(now)
	v.stores, v.dead = maps.Clone(stores), make(map[Key]uint64, len(dead))
	maps.Copy(v.dead, dead)
	var all uint64
	for _, s := range stores {
		all += s.Stored
	}
	v.all.store(now.Run, all)
	for _, d := range v.declared {
		if s, ok := stores[d.key.To]; ok && d.durable && d.key.Type != anyType {
			v.route(now, d.key).store(now.Run, v.storedOf(d.key, s))
		}
	}
}

func (v *View) backlog(key Key) *api.Backlog {
	s := v.stores[key.To]
	b := &api.Backlog{
		Stored: s.Stored, Limit: s.MaxMessages, Fill: s.Fill(), Pending: s.Pending, Unacked: s.Unacked,
		OldestAge: round(s.Oldest.Seconds()), Redelivered: s.Redelivered, Dead: v.deadOf(key),
	}
	if s.Routes != nil {
		b.Unacked = s.inHand(v.ofRoute(s.Routes, key))
		b.Pending = v.storedOf(key, s) - b.Unacked
	}
	return b
}

// inHand is a route's share of what is in some instance's hand: the broker does not count that by route.
func (s Store) inHand(own uint64) uint64 {
	var all uint64
	for _, n := range s.Routes {
		all += n
	}
	return min(own, uint64(math.Round(float64(s.Unacked)*float64(own)/float64(max(1, all)))))
}

// storedOf is how many messages of a route are stored; all of its target's when they are not told apart.
func (v *View) storedOf(key Key, s Store) uint64 {
	if s.Routes == nil {
		return s.Stored
	}
	return v.ofRoute(s.Routes, key) + v.ofRoute(s.Held, key)
}

// deadOf counts the dead letters of a route.
func (v *View) deadOf(key Key) uint64 { return v.ofRoute(v.dead, key) }

// ofRoute is the count of a route; of a default route that of all types that have none of their own.
func (v *View) ofRoute(counted map[Key]uint64, key Key) (n uint64) {
	if key.Type != anyType {
		return counted[key]
	}
	for k, m := range counted {
		if k.From == key.From && k.To == key.To && v.viaDefault(k) {
			n += m
		}
	}
	return n
}
