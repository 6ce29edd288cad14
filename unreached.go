package damrey

import (
	"errors"
	"net"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// unreached says why a connection does not come back: each reason at once, and
// again from time to time while it lasts. NATS calls it from one goroutine of
// the connection.
type unreached struct {
	log  zerolog.Logger
	said map[string]time.Time // by reason
}

// failed is told of every try that failed.
func (u *unreached) failed(nc *nats.Conn, err error) {
	if !nc.IsClosed() && u.news(reason(err), time.Now()) {
		u.log.Warn().Err(err).Msg("NATS cannot be reached; trying on")
	}
}

// news says whether a reason is to be logged now.
func (u *unreached) news(why string, now time.Time) bool {
	if at, ok := u.said[why]; ok && now.Sub(at) < tellAgain {
		return false
	}
	if u.said == nil {
		u.said = make(map[string]time.Time)
	}
	u.said[why] = now
	return true
}

// over forgets the reasons: the connection is there.
func (u *unreached) over() { clear(u.said) }

// reason is an error's text without our own port, which is another in each try.
func reason(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Addr != nil && op.Err != nil {
		return op.Op + " " + op.Addr.String() + ": " + op.Err.Error()
	}
	return err.Error()
}
