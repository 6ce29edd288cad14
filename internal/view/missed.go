package view

import (
	"fmt"
	"strings"

	"github.com/damrey/damrey/internal/api"
)

// Undelivered takes the event of an instance or a bridge, that nobody took messages of a route.
func (v *View) Undelivered(now Instant, route string, n int, why string) error {
	key, err := ParseKey(route)
	if err != nil {
		return err
	}
	if n <= 0 || uint64(n) >= maxCount {
		return fmt.Errorf("%d messages of %s", n, key)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.advance(now)
	why = clip(why)
	r := v.route(now, key)
	r.missed, r.why = now.Run, why
	if !v.beats(key.From) { // else its beats count them
		v.spell.set(now.Run, now.Run)
		r.add(now.Run, &v.spell, &counts{undelivered: uint64(n)}, nil)
		v.all.add(now.Run, &v.spell, &counts{undelivered: uint64(n)}, nil)
	}
	v.journal.Add(now.Wall, api.Event{
		Kind: api.EventUndelivered, Worker: key.To, Route: key.String(),
		Text: fmt.Sprintf("nobody took %s of %s: %s", messages(uint64(n)), key, why),
	})
	return nil
}

// beats says that some instance of the worker does.
func (v *View) beats(worker string) bool {
	for _, i := range v.instances {
		if i.key.worker == worker && !i.gone() {
			return true
		}
	}
	return false
}

// ParseKey reads a route as it is written everywhere, from→type→to.
func ParseKey(s string) (Key, error) {
	parts := strings.Split(s, "→")
	if len(parts) != 3 {
		return Key{}, fmt.Errorf("%q is no route; write from→type→to", clip(s))
	}
	k := Key{parts[0], parts[1], parts[2]}
	return k, checkKey(k)
}
