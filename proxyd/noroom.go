package proxyd

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// troubleLook is how often it is looked whether the broker can store.
const troubleLook = 100 * time.Millisecond

// noRoom tells senders that nothing can be stored: a nats-server that cannot write its files gives them no answer at all.
// Not in a cluster, where another server may store what this one cannot, and does so after an election.
type noRoom struct {
	store   *store
	replies *replies
	subs    []*nats.Subscription // while the broker has trouble
}

func (r *noRoom) run(ctx context.Context) {
	if r.store.cluster {
		return
	}
	defer r.end()
	tick := time.NewTicker(troubleLook)
	defer tick.Stop()
	for {
		why := r.store.trouble()
		switch {
		case why == nil:
			r.end()
		case r.subs == nil:
			r.begin(why)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// begin refuses what is to be stored.
func (r *noRoom) begin(why error) {
	var refusal struct {
		Error jetstream.APIError `json:"error"`
	}
	refusal.Error = jetstream.APIError{Code: http.StatusInsufficientStorage, Description: why.Error()}
	answer, err := json.Marshal(refusal)
	for _, what := range []string{"job", "held", "later"} {
		if err != nil {
			break
		}
		var sub *nats.Subscription
		sub, err = r.store.nc.Subscribe(r.store.prefix+"."+what+".>", func(m *nats.Msg) {
			if r.replies.mayAnswer(m.Reply) {
				_ = m.Respond(answer) // best effort: they try again
			}
		})
		if err == nil {
			r.subs = append(r.subs, sub)
		}
	}
	if err != nil {
		r.store.log.Warn().Err(err).Msg("senders of stored messages cannot be told that nothing can be stored; their time runs out")
	}
}

func (r *noRoom) end() {
	for _, sub := range r.subs {
		_ = sub.Unsubscribe() // fails only on a closed connection
	}
	r.subs = nil
}
