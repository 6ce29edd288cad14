package damrey

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// What every message needs to carry rides in the sender's own reply subject,
// because a header costs half the throughput and a longer subject almost none:
//
//	<inbox>.~<kind><call>.<budget ms>.<hops>.<cost>[.<requester's reply subject>]
//
// Kind q wants an answer. Kind s is a send: nothing but NATS's own "no
// responders" may come back on it. The last part is there on a forward: the
// one who asked first gets the answer.
const (
	kindRequest = 'q'
	kindSend    = 's'
	tailMark    = ".~"
	maxHops     = 64
	maxBudget   = time.Hour
)

type tail struct {
	kind   byte
	call   uint64 // never repeats within one inbox
	budget time.Duration
	hops   int
	cost   int
	rest   string // the requester's reply subject; empty when the sender is the requester
}

// appendTo appends the whole reply subject to dst.
func (t tail) appendTo(dst []byte, inbox string) []byte {
	dst = append(dst, inbox...)
	dst = append(dst, '.', '~', t.kind)
	dst = strconv.AppendUint(dst, t.call, 36)
	dst = append(dst, '.')
	dst = strconv.AppendInt(dst, max(1, t.budget.Milliseconds()), 10)
	dst = append(dst, '.')
	dst = strconv.AppendInt(dst, int64(t.hops), 10)
	dst = append(dst, '.')
	dst = strconv.AppendInt(dst, int64(t.cost), 10)
	if t.rest != "" {
		dst = append(dst, '.')
		dst = append(dst, t.rest...)
	}
	return dst
}

// parseReply reads a reply subject. ok is false for a foreign one, such as a
// stock client's inbox.
func parseReply(reply string) (t tail, ok bool) {
	i := strings.Index(reply, tailMark)
	if i <= 0 {
		return tail{}, false
	}
	return parseTail(reply[i+len(tailMark):])
}

// parseTail reads what follows the mark. It is on the way of every message, so
// it does not go through strconv.
func parseTail(s string) (t tail, ok bool) {
	if s == "" || s[0] != kindRequest && s[0] != kindSend {
		return tail{}, false
	}
	t.kind = s[0]
	call, s, ok0 := token(s[1:], 36, math.MaxUint64)
	budget, s, ok1 := token(s, 10, math.MaxInt32)
	hops, s, ok2 := token(s, 10, math.MaxUint16)
	cost, s, ok3 := token(s, 10, math.MaxInt32)
	if !ok0 || !ok1 || !ok2 || !ok3 {
		return tail{}, false
	}
	t.call = call
	t.budget = min(time.Duration(budget)*time.Millisecond, maxBudget)
	t.hops, t.cost, t.rest = int(hops), int(cost), s
	return t, true
}

// token reads a number up to the next dot, or to the end.
func token(s string, base, most uint64) (n uint64, rest string, ok bool) {
	i := 0
	for ; i < len(s) && s[i] != '.'; i++ {
		d := uint64(s[i])
		switch {
		case '0' <= d && d <= '9':
			d -= '0'
		case 'a' <= d && d <= 'z':
			d -= 'a' - 10
		default:
			return 0, "", false
		}
		if d >= base || n > (most-d)/base {
			return 0, "", false
		}
		n = n*base + d
	}
	if i == 0 {
		return 0, "", false
	}
	if i == len(s) {
		return n, "", true
	}
	return n, s[i+1:], true
}

// answerTo is where the answer to a message with this tail goes, given its
// whole reply subject: to the first requester, past every forwarder. Empty for
// a send.
func (t tail) answerTo(reply string) string {
	switch {
	case t.kind == kindSend:
		return ""
	case t.rest != "":
		return t.rest
	}
	return reply
}
