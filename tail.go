package damrey

import (
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
	tailTokens  = 4 // the mark's own token, budget, hops, cost
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

// parseTail reads what follows the mark.
func parseTail(s string) (t tail, ok bool) {
	var part [tailTokens]string
	for i := range tailTokens {
		if s == "" {
			return tail{}, false
		}
		part[i], s, _ = strings.Cut(s, ".")
	}
	head := part[0]
	if head == "" || head[0] != kindRequest && head[0] != kindSend {
		return tail{}, false
	}
	t.kind, t.rest = head[0], s
	call, err0 := strconv.ParseUint(head[1:], 36, 64)
	budget, err1 := strconv.ParseUint(part[1], 10, 31)
	hops, err2 := strconv.ParseUint(part[2], 10, 16)
	cost, err3 := strconv.ParseUint(part[3], 10, 31)
	if err0 != nil || err1 != nil || err2 != nil || err3 != nil {
		return tail{}, false
	}
	t.call = call
	t.budget = min(time.Duration(budget)*time.Millisecond, maxBudget)
	t.hops, t.cost = int(hops), int(cost)
	return t, true
}

// answerSubject is where the answer to a message with this reply subject goes:
// to the first requester, past every forwarder. Empty for a send.
func answerSubject(reply string) string {
	t, ok := parseReply(reply)
	switch {
	case !ok:
		return reply
	case t.kind == kindSend:
		return ""
	case t.rest != "":
		return t.rest
	}
	return reply
}
