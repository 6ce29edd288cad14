package view

import (
	"fmt"
	"time"

	"github.com/damrey/damrey/internal/api"
)

// refusals counts beats that were refused, and tells of them once in a while.
type refusals struct {
	total            uint64
	untold           uint64
	told             time.Duration
	ever             bool
	worker, instance string
	last             string
}

// Refuse counts a beat that could not be parsed; of whom it came is what its subject says.
func (v *View) Refuse(now Instant, worker, instance string, why error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.advance(now)
	v.refuse(now, worker, instance, why)
}

func (v *View) refuse(now Instant, worker, instance string, why error) {
	r := &v.refusals
	r.total++
	r.untold++
	r.worker, r.instance, r.last = clip(worker), clip(instance), clip(why.Error())
	v.tellRefused(now)
}

func (v *View) tellRefused(now Instant) {
	r := &v.refusals
	if r.untold == 0 || r.ever && now.Run-r.told < tellEvery {
		return
	}
	text := "a beat was refused: " + r.last
	if r.untold > 1 {
		text = fmt.Sprintf("%d beats were refused; the last one: %s", r.untold, r.last)
	}
	r.untold, r.told, r.ever = 0, now.Run, true
	v.journal.Add(now.Wall, api.Event{Kind: api.EventBeatRefused, Worker: r.worker, Instance: r.instance, Text: text})
}

// clip keeps a text of others short.
func clip(s string) string {
	const most = 200
	n := 0
	for i := range s {
		if n++; n > most {
			return s[:i] + "…"
		}
	}
	return s
}
