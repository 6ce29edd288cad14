package main

import (
	"strings"
	"testing"
	"time"

	"github.com/damrey/damrey"
)

// What a TIMEOUT advises leads to no second message where the first may be stored.
func TestReply_TimeoutAdvises(t *testing.T) {
	t.Parallel()
	hop := damrey.Hop{Route: "entry→pay→bank", State: damrey.HopQueued, For: time.Second, Spent: time.Second}
	kept := hop
	kept.Stored = true
	for name, c := range map[string]struct {
		r         reply
		want, not string
	}{
		"direct": {reply{path: []damrey.Hop{hop}}, "; give it more with --timeout", "stored"},
		"stored": {reply{path: []damrey.Hop{hop, kept}}, "; the message is stored and will be handled; only its answer did not come in time: do not send it again", "--timeout"},
		"silent": {reply{}, "unless its route is durable: then it may be stored", "will be"},
		"sent":   {reply{sent: true}, "it is not known whether it was taken or stored: on a durable route it may be, and is handled then; storing is tried for 15s", "give it more"},
	} {
		c.r.msg, c.r.where, c.r.spent = damrey.Msg{damrey.TIMEOUT}, "entry→pay→bank", time.Second
		if said := c.r.err("message").Error(); !strings.HasPrefix(said, "TIMEOUT") || !strings.Contains(said, c.want) || strings.Contains(said, c.not) {
			t.Errorf("%s: %s", name, said)
		}
	}
}
