package damrey

import (
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// rescue takes a message of the partition that is stored, and that the broker
// neither hands out nor counts as handed out. Either it was acknowledged, and
// the stream's leader alone has not noticed; or the consumer's leader has lost
// sight of it. That cannot be told, and to run again is better than to be lost.
func (p *partition) rescue(sequence uint64) {
	k := p.k
	msg, stored, err := p.read(sequence)
	if err != nil {
		return // it is gone, or looked for again
	}
	k.mu.Lock()
	if p.closed || p.held[sequence] != nil {
		k.mu.Unlock()
		return
	}
	in := &k.w.newJob(msg).in[0]
	j := in.job
	j.sequence, j.stored, j.handouts = sequence, stored, 2 // the broker says none of it here
	j.keyed, j.part, j.cameAt, j.gone, j.rescued = true, p, clock(), true, true
	p.held[sequence] = in
	p.gone++
	p.reading++
	k.mu.Unlock()
	k.w.log.warn("a stored message that the broker does not hand out is handled now", func(e *zerolog.Event) {
		e.Str("stream", k.stream).Uint64("sequence", sequence).Str("id", j.id())
	})
	k.w.jobs.add(j)
	k.read(p, in)
}

// read gets a message by its sequence.
func (p *partition) read(sequence uint64) (m *nats.Msg, stored time.Time, err error) {
	var answer struct {
		Message struct {
			Subject string    `json:"subject"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	request := []byte(`{"seq":` + strconv.FormatUint(sequence, 10) + `}`)
	if err := p.k.askBroker("STREAM.MSG.GET."+p.k.stream, request, &answer); err != nil {
		return nil, time.Time{}, err
	}
	m = &nats.Msg{Subject: answer.Message.Subject, Data: answer.Message.Data}
	if len(answer.Message.Header) > 0 {
		m.Header, err = nats.DecodeHeadersMsg(answer.Message.Header)
	}
	return m, answer.Message.Time, err
}

// removal is between two attempts to remove one that was rescued and is done.
const removal = time.Second

// remove takes a rescued message out of the stream: there is nobody to
// acknowledge it to. While that fails it counts as stored, and would be rescued
// once more.
func (j *job) remove() {
	k := j.part.k
	request, err := json.Marshal(struct {
		Sequence uint64 `json:"seq"`
		NoErase  bool   `json:"no_erase"`
	}{j.sequence, true})
	for end := clock().add(storeTime); err == nil; time.Sleep(removal) {
		var answer struct{}
		asked := k.askBroker("STREAM.MSG.DELETE."+k.stream, request, &answer)
		if asked == nil || !j.part.stored(j.sequence) {
			return
		}
		if clock() > end || errors.Is(asked, nats.ErrConnectionClosed) {
			err = asked
			break
		}
	}
	k.w.log.warn("a message that is done could not be removed; it may run again", func(e *zerolog.Event) {
		e.Err(err).Str("stream", k.stream).Uint64("sequence", j.sequence)
	})
}
