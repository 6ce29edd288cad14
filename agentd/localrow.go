package agentd

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/damrey/damrey"
)

// flushTime is how long the leaf server may take to know a subscription before it is asked again.
const flushTime = time.Second

// serveRows answers the machine's instances from the agent's table, once there is one: until then they get "no
// responders" and know that there is nothing to go on with. It closes ready when the bridge works too.
func (a *Agent) serveRows(ctx context.Context) error {
	if a.watcher.Table() == nil {
		select {
		case <-a.watcher.Ready():
		case <-ctx.Done():
			return nil
		}
	}
	sub, err := a.nc.Subscribe(damrey.LocalRowSubject(a.member.Fabric.Prefix, "*"), a.answerRow)
	if err != nil {
		return fmt.Errorf("agentd: serving the routing table on this machine: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only on a closed connection, where it is gone anyway
	for ctx.Err() == nil && a.nc.FlushTimeout(flushTime) != nil {
		wait(ctx, flushTime) // it is subscribed as soon as the connection is back
	}
	select {
	case <-a.bridge.Ready():
		close(a.ready)
		<-ctx.Done()
	case <-ctx.Done():
	}
	return nil
}

func (a *Agent) answerRow(m *nats.Msg) {
	if !a.mayAnswer(m.Reply) {
		return
	}
	row, err := a.localRow(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:])
	var data []byte
	if err == nil {
		data, err = json.Marshal(row)
	}
	if err == nil {
		err = m.Respond(data)
	}
	if err != nil {
		a.cfg.Log.Error().Err(err).Str("subject", m.Subject).Msg("an instance's question for its row could not be answered")
	}
}

func (a *Agent) localRow(worker string) (damrey.LocalRow, error) {
	stale := a.Stale() // asked first, so that an old row never counts as fresh
	row := a.watcher.Table().Row(worker)
	if row == nil {
		return damrey.LocalRow{Stale: stale}, nil
	}
	data, err := json.Marshal(row.Registration)
	return damrey.LocalRow{Found: true, Stale: stale, Revision: row.Revision, Row: data}, err
}

// mayAnswer: only to inboxes, so that nobody can make the agent write somewhere else, such as into the routing table, by
// naming it as the reply subject.
func (a *Agent) mayAnswer(reply string) bool {
	if reply == "" {
		return false
	}
	if a.replies.Has(reply) {
		return true
	}
	if a.refused.Add(1) == 1 {
		a.cfg.Log.Warn().Str("reply", reply).Msg("a question with a reply subject that is no inbox, or over 1,024 bytes, is not answered, and further ones are only counted; if its client has an inbox prefix of its own, allow it with --reply-prefix")
	}
	return false
}
