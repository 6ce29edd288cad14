package proxyd

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A list is read again this often when it is not complete; entries that come meanwhile are a reason, too.
const listAttempts = 3

// record is one entry of a bucket as it is stored.
type record struct {
	key      string
	value    []byte
	revision uint64
	created  time.Time // by the broker's clock
	deleted  bool
}

// records reads a whole bucket, by key and without the deleted ones, or fails: a list with a gap is never returned.
// (nats-server 2.15.2 with one flipped bit in a message block is healthy, and KV Keys() then gives all but one entry
// without an error, or never returns.)
func (s *store) records(ctx context.Context, name string) (list []record, err error) {
	err = s.use(ctx, name, func(ctx context.Context, _ jetstream.KeyValue) error {
		var missing []string
		for range listAttempts {
			list, missing, err = s.snapshot(ctx, name)
			if err != nil || len(missing) == 0 {
				return err
			}
		}
		unreadable, err := s.unreadable(ctx, name, missing)
		if err != nil {
			return err
		}
		return fmt.Errorf("%w: bucket %s, %s; its files may be damaged: put what cannot be read again",
			errIncomplete, name, shorten(strings.Join(unreadable, ", ")))
	})
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(r record) bool { return r.deleted })
	slices.SortFunc(list, func(a, b record) int { return cmp.Compare(a.key, b.key) })
	return list, nil
}

// snapshot reads the last record of every key, and names those that the bucket has but did not give.
func (s *store) snapshot(ctx context.Context, name string) (list []record, missing []string, err error) {
	stream, err := s.stream(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	under := "$KV." + name + "."
	messages, err := lastMessages(ctx, stream, under+">")
	if err != nil {
		return nil, nil, err
	}
	byKey := make(map[string]record, len(messages))
	for _, m := range messages {
		r, err := recordOf(m, under)
		if err != nil {
			return nil, nil, err
		}
		byKey[r.key] = r
	}
	for _, r := range byKey {
		list = append(list, r)
	}
	missing, err = notGiven(ctx, stream, under, byKey)
	return list, missing, err
}

// recordOf reads a message of a bucket; under is what stands before the key in its subject.
func recordOf(m jetstream.Msg, under string) (record, error) {
	meta, err := m.Metadata()
	if err != nil {
		return record{}, err
	}
	return record{
		key: strings.TrimPrefix(m.Subject(), under), value: m.Data(), revision: meta.Sequence.Stream, created: meta.Timestamp,
		deleted: removed(m.Headers()),
	}, nil
}

// removed says whether a record is the mark that the bucket keeps of a deleted one.
func removed(h nats.Header) bool {
	return h.Get("KV-Operation") != "" || h.Get(jetstream.MarkerReasonHeader) != ""
}

// unreadable are those of the missing keys that cannot be read one by one either. One damaged message ends a list, so most
// of the missing ones are whole. When all are, all are returned.
func (s *store) unreadable(ctx context.Context, name string, missing []string) ([]string, error) {
	stream, err := s.stream(ctx, name)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, key := range missing {
		_, err := stream.GetLastMsgForSubject(ctx, "$KV."+name+"."+key)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			found = append(found, key)
		}
	}
	if len(found) == 0 {
		return missing, nil
	}
	return found, nil
}

// lastMessages fetches the last message of each subject that the stream has at this moment.
func lastMessages(ctx context.Context, stream jetstream.Stream, filter string) ([]jetstream.Msg, error) {
	return messagesNow(ctx, stream, filter, jetstream.DeliverLastPerSubjectPolicy)
}

// allMessages fetches every message that the stream has at this moment, the oldest first.
func allMessages(ctx context.Context, stream jetstream.Stream, filter string) ([]jetstream.Msg, error) {
	return messagesNow(ctx, stream, filter, jetstream.DeliverAllPolicy)
}

func messagesNow(ctx context.Context, stream jetstream.Stream, filter string, which jetstream.DeliverPolicy) ([]jetstream.Msg, error) {
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		DeliverPolicy:     which,
		AckPolicy:         jetstream.AckNonePolicy,
		FilterSubject:     filter,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: 10 * time.Second,
	})
	if err != nil {
		return nil, err
	}
	info := consumer.CachedInfo()
	defer func() { _ = stream.DeleteConsumer(ctx, info.Name) }() // else it goes by itself once inactive
	if info.NumPending == 0 {
		return nil, nil
	}
	return fetchNow(ctx, consumer, int(info.NumPending))
}

// fetchNow takes what a consumer has, at most n. Not waiting: the server says when it has no more, also when that is fewer
// than it promised.
func fetchNow(ctx context.Context, consumer jetstream.Consumer, n int) ([]jetstream.Msg, error) {
	batch, err := consumer.FetchNoWait(n)
	if err != nil {
		return nil, err
	}
	messages := make([]jetstream.Msg, 0, n)
	for {
		select {
		case m, ok := <-batch.Messages():
			if !ok {
				return messages, batch.Error()
			}
			messages = append(messages, m)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// notGiven compares with the subjects of the stream. Subjects only become more, so as many given as there are now means
// that none was left out; only otherwise are the names worth their cost.
func notGiven(ctx context.Context, stream jetstream.Stream, under string, given map[string]record) ([]string, error) {
	info, err := stream.Info(ctx)
	if err != nil || uint64(len(given)) >= info.State.NumSubjects {
		return nil, err
	}
	if info, err = stream.Info(ctx, jetstream.WithSubjectFilter(under+">")); err != nil {
		return nil, err
	}
	var missing []string
	for subject := range info.State.Subjects {
		if key := strings.TrimPrefix(subject, under); given[key].key == "" {
			missing = append(missing, key)
		}
	}
	slices.Sort(missing)
	return missing, nil
}
