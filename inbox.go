package damrey

import (
	"strings"

	"github.com/damrey/damrey/internal/bucket"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

const (
	statusHeader = "Status"
	noResponders = "503"
)

// receive handles what comes to the link's inbox: markers, "no responders" to
// what was pushed, answers to own requests, and answers of plain workers to
// forwards, which are relayed. It runs in one goroutine and does not block.
func (l *link) receive(m *nats.Msg) {
	l.outbox.heard()
	after := m.Subject[len(l.inbox)+1:]
	if marker, ok := strings.CutPrefix(after, markerKind); ok {
		l.onMarker(marker)
		return
	}
	if question, ok := strings.CutPrefix(after, assureKind); ok {
		l.assurance.onEcho(l, question, m)
		return
	}
	if stored, ok := strings.CutPrefix(after, storeKind); ok {
		l.onStored(stored, m)
		return
	}
	if call, ok := strings.CutPrefix(after, whereKind); ok {
		l.onWhere(call, m)
		return
	}
	framed, ok := strings.CutPrefix(after, "~")
	t, valid := parseTail(framed)
	if !ok || !valid {
		l.count.unasked.Add(1)
		return
	}
	missed := isNoResponders(m)
	stream, isAck := bucket.ReadAck(m.Data)
	switch {
	case isAck:
		l.streamAck(stream)
	case t.kind == kindSend && missed, t.rest != "" && missed:
		if !l.comeBack(t.call) {
			l.count.late.Add(1)
		}
	case t.kind == kindSend:
		l.count.unasked.Add(1)
	case t.rest != "":
		l.relay(t, m)
	case missed || isUnstarted(m):
		l.missed(t.call)
	default:
		l.deliver(t.call, answer{from: m})
	}
}

func isNoResponders(m *nats.Msg) bool {
	return len(m.Data) == 0 && m.Header != nil && m.Header.Get(statusHeader) == noResponders
}

func isUnstarted(m *nats.Msg) bool {
	return m.Header != nil && m.Header.Get(headerUnstarted) != ""
}

// streamAck counts that somebody put a stream over the fabric's subjects, and
// JetStream acknowledges to the reply subject, or says that it cannot store.
func (l *link) streamAck(stream string) {
	l.count.streamAcks.Add(1)
	l.log.warn("a JetStream stream stores this fabric's subjects and acknowledges to senders; dropped. Narrow the stream's subjects, or set no_ack on it",
		func(e *zerolog.Event) { e.Str("stream", clip(stream)) })
}

// relay passes a plain worker's answer on to the one who asked first. A STOP
// for a message that was not started is a failed push instead.
func (l *link) relay(t tail, m *nats.Msg) {
	if !l.mayAnswer(t.rest) {
		l.refuse(t.rest)
		return
	}
	if isUnstarted(m) {
		if !l.comeBack(t.call) {
			l.stop(t.rest, m.Header.Get(headerWhere), false)
		}
		return
	}
	l.answerMsg(&nats.Msg{Subject: t.rest, Header: m.Header, Data: m.Data})
}

// refuse drops what would be answered somewhere that is no inbox.
func (l *link) refuse(subject string) {
	l.count.refused.Add(1)
	l.log.warn("dropped a message whose reply subject is no inbox, or over 1,024 bytes; if its client has an inbox prefix of its own, allow it with --reply-prefix, or damrey.WithReplyPrefix",
		func(e *zerolog.Event) { e.Str("reply", clip(subject)) })
}
