package bucket

import (
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// RetryMarker is stored together with the message of a dead letter that is sent again to a worker, both or none: while it is
// there, the letter is not stored for that worker again. It is for when the letter could not be removed, and is kept no longer
// than a letter is.
func RetryMarker(prefix, worker string, letter *jetstream.RawStreamMsg) *nats.Msg {
	return &nats.Msg{
		Subject: prefix + ".id." + worker + "." + RetryID(letter),
		Header: nats.Header{
			jetstream.ExpectedLastSubjSeqHeader: {"0"},
			jetstream.MsgTTLHeader:              {strconv.Itoa(int(deadAge/time.Second)) + "s"},
		},
	}
}

// RetryID is what all retries of one letter have in common, and no other letter has: a message that becomes one again has
// another sequence, and a stream that is made anew counts from 1 again, but stores at another time.
func RetryID(letter *jetstream.RawStreamMsg) string {
	return fmt.Sprintf("retry.%d.%x", letter.Sequence, letter.Time.UnixNano())
}
