package proxyd

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey"
)

// Anybody who reaches the broker can store under $KV.<bucket>.<key> what is no worker's name, and some keys that the KV
// client itself refuses. Such an entry is shown as damaged, so it must be possible to remove it.

// isKey says whether something can be stored under this name at all: a subject without wildcards.
func isKey(name string) bool {
	if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return false
	}
	return !slices.ContainsFunc(strings.Split(name, "."), func(token string) bool {
		return token == "" || token == "*" || token == ">"
	})
}

// unlessStored returns what is wrong with a name, but nothing when something is stored under it.
func (p *Proxy) unlessStored(ctx context.Context, name string, wrong error) error {
	if wrong == nil || !isKey(name) {
		return wrong
	}
	if e, err := p.table.get(ctx, name); e != nil || err != nil {
		return err
	}
	return wrong
}

// read returns nil when nothing is stored under this name.
func (t *table) read(ctx context.Context, kv jetstream.KeyValue, name string) (*entry, error) {
	if damrey.CheckName(name) == nil {
		return readEntry(ctx, kv, name)
	}
	stream, err := t.store.stream(ctx, t.name)
	if err != nil {
		return nil, err
	}
	m, err := stream.GetLastMsgForSubject(ctx, t.subject(name))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if removed(m.Header) {
		return nil, nil
	}
	return newEntry(name, m.Data, m.Sequence, m.Time), nil
}

// remove deletes what is at a revision.
func (t *table) remove(ctx context.Context, kv jetstream.KeyValue, name string, revision uint64) error {
	if damrey.CheckName(name) == nil {
		return kv.Delete(ctx, name, jetstream.LastRevision(revision))
	}
	m := nats.NewMsg(t.subject(name))
	m.Header.Set("KV-Operation", "DEL")
	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(revision, 10))
	_, err := t.store.js.PublishMsg(ctx, m)
	return err
}

func (t *table) subject(name string) string { return "$KV." + t.name + "." + name }
