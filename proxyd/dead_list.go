package proxyd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

// One answer lists no more than these, beside its limit; whoever wants more goes on after it.
const (
	deadPageBytes = 4 << 20         // of payload
	deadPageTime  = 2 * time.Second // of looking through letters that do not match
	deadChunk     = 100             // letters are fetched at once; each may be as large as a message can be
)

// list reads the letters that match, oldest first.
func (d *deadLetters) list(ctx context.Context, f api.DeadFilter) (api.DeadList, error) {
	page := deadPage{filter: f, prefix: d.store.prefix, list: api.DeadList{Letters: []api.DeadLetter{}}}
	err := d.use(ctx, func(ctx context.Context, stream jetstream.Stream) error {
		state := stream.CachedInfo().State
		page.list.Total = state.Msgs
		if f.After >= state.LastSeq {
			return nil
		}
		return page.read(ctx, stream)
	})
	if errors.Is(err, errNoLetters) {
		err = nil
	}
	return page.list, err
}

// deadPage is one answer in the making.
type deadPage struct {
	filter api.DeadFilter
	prefix string
	list   api.DeadList
	bytes  int
}

func (p *deadPage) read(ctx context.Context, stream jetstream.Stream) error {
	consumer, err := stream.CreateConsumer(ctx, p.consumer())
	if err != nil {
		return err
	}
	info := consumer.CachedInfo()
	defer func() { _ = stream.DeleteConsumer(ctx, info.Name) }() // else it goes by itself once inactive
	enough := time.Now().Add(deadPageTime)
	for left := info.NumPending; left > 0; {
		messages, err := fetchNow(ctx, consumer, int(min(left, deadChunk)))
		if err != nil {
			return err
		}
		if len(messages) == 0 {
			return p.end(ctx, consumer)
		}
		for _, m := range messages {
			meta, err := m.Metadata()
			if err != nil {
				return err
			}
			left = meta.NumPending
			if !p.filter.Until.IsZero() && meta.Timestamp.After(p.filter.Until) {
				return nil
			}
			p.take(m, meta)
			if left > 0 && (p.full() || time.Now().After(enough)) {
				p.list.Next = meta.Sequence.Stream
				return nil
			}
		}
	}
	return nil
}

// consumer leaves to the broker what it can filter.
func (p *deadPage) consumer() jetstream.ConsumerConfig {
	f := p.filter
	cfg := jetstream.ConsumerConfig{
		AckPolicy:     jetstream.AckNonePolicy,
		FilterSubject: damrey.DeadSubject(p.prefix, cmp.Or(f.Worker, "*"), cmp.Or(f.Type, "*"), cmp.Or(f.From, "*")),
		MemoryStorage: true, Replicas: 1, InactiveThreshold: 10 * time.Second,
	}
	if f.Worker == "" && f.Type == "" && f.From == "" {
		cfg.FilterSubject = p.prefix + ".dead.>" // also those whose subject is no route
	}
	switch {
	case f.After > 0:
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, min(f.After, math.MaxUint64-1)+1
	case !f.Since.IsZero():
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &f.Since
	}
	return cfg
}

func (p *deadPage) take(m jetstream.Msg, meta *jetstream.MsgMetadata) {
	if meta.Timestamp.Before(p.filter.Since) {
		return
	}
	l := letterOf(p.prefix, m.Subject(), meta.Sequence.Stream, m.Headers(), m.Data())
	l.Time = meta.Timestamp.UTC()
	if !strings.Contains(l.Error, p.filter.Error) {
		return
	}
	p.list.Letters = append(p.list.Letters, l)
	p.bytes += l.Size
}

func (p *deadPage) full() bool {
	return len(p.list.Letters) >= p.filter.Limit || p.bytes >= deadPageBytes
}

// end is for when the broker gives nothing: the rest was removed meanwhile, or cannot be read.
func (p *deadPage) end(ctx context.Context, consumer jetstream.Consumer) error {
	info, err := consumer.Info(ctx)
	if err != nil {
		return err
	}
	if info.NumPending > 0 {
		return fmt.Errorf("%w: %d dead letters of stream %s; its files may be damaged", errIncomplete, info.NumPending, info.Stream)
	}
	return nil
}
