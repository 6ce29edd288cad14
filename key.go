package damrey

import (
	"fmt"
	"hash/fnv"

	"github.com/damrey/damrey/internal/bucket"
	"github.com/damrey/damrey/internal/wire"
)

// partitionOf is where the messages of a key are stored. It never changes, so
// that those that are stored and those that come stay behind one another.
func partitionOf(key string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // never fails
	return int(h.Sum32() % bucket.Partitions)
}

// keyOf reads the key of an encoded message.
func (r *Route) keyOf(payload []byte) (string, error) {
	index, _ := r.Key.Index()
	msg, err := wire.Decode(payload)
	if err != nil {
		return "", &fabricError{ErrMalformed, err.Error(), r.String()}
	}
	if args := len(msg) - 2; index >= args {
		return "", &fabricError{ErrMalformed, fmt.Sprintf(
			"the route's key is argument %d, and the message has %d, counted from 0; send it, or change the key with `damrey worker chg %s --command %s=%s,durable,key=INDEX`",
			index, max(0, args), r.From, r.command, r.To), r.String()}
	}
	return msg[2+index], nil
}
