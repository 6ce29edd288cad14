package damrey

import (
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

// linkState is what must be known of the connection without asking it: its
// lock is held for seconds while it writes into a frozen link, and nobody who
// asks or answers may be held up by that.
type linkState struct {
	up         atomic.Bool
	maxPayload atomic.Int64 // 0 until it is known
}

func (s *linkState) read(nc *nats.Conn) {
	s.up.Store(nc.IsConnected())
	s.maxPayload.Store(nc.MaxPayload())
}

// follow reads the state whenever it changes, until closed.
func (s *linkState) follow(nc *nats.Conn, status chan nats.Status, closed <-chan struct{}) {
	defer nc.RemoveStatusListener(status)
	for {
		select {
		case now, ok := <-status:
			if !ok {
				return
			}
			s.up.Store(now == nats.CONNECTED)
			s.read(nc)
		case <-closed:
			return
		}
	}
}
