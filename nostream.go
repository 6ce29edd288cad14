package damrey

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var (
	errNoStream    = errors.New("no stream takes it: its copies have no majority, or it is missing; the proxy makes it, if one is running")
	errNoJetStream = errors.New("no stream takes it, since JetStream is not there or not enabled for this account; " +
		"enable it on the NATS server (`nats-server -js`, or `jetstream {}` in its configuration)")
	errSilentJetStream = errors.New("no stream takes it, and JetStream does not answer: it was switched off, or its cluster elects or has no majority")
	errNoLeader        = errors.New("no stream takes it: the brokers' cluster elects, or has no majority")
)

// noStreamLook is between two questions whether JetStream is there, and more
// than an answer takes.
const noStreamLook = 500 * time.Millisecond

// noStream finds out why nothing takes what is to be stored. It asks aside, so
// that the first to want to know may learn it only with its next attempt.
type noStream struct {
	mu    sync.Mutex // guards what follows
	asked time.Time
	known error
}

// why is what is known so far.
func (n *noStream) why(nc *nats.Conn) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known == nil {
		n.known = errNoStream
	}
	if now := time.Now(); now.Sub(n.asked) >= noStreamLook {
		n.asked = now
		go n.ask(nc)
	}
	return n.known
}

func (n *noStream) ask(nc *nats.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), noStreamLook)
	defer cancel()
	var account struct{}
	var refusal *jetstream.APIError
	err := askJetStream(ctx, nc, "INFO", nil, &account)
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		n.known = errNoJetStream
	case errors.As(err, &refusal) && refusal.Code == http.StatusServiceUnavailable:
		n.known = errNoLeader
	case errors.Is(err, context.DeadlineExceeded):
		n.known = errSilentJetStream
	default:
		n.known = errNoStream
	}
}
