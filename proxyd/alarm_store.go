package proxyd

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey/internal/alarm"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/bucket"
)

// What the keys of the bucket of settings begin with. The rest of a key is a name or an id in base64.
const (
	keyRule    = "rule."
	keyAck     = "ack."
	keySilence = "silence."
	keyHooks   = "webhooks"
)

// mirror is a bucket as it was when it was last read. It is read again only when something was written there.
type mirror struct {
	store *store
	name  string

	mu      sync.Mutex // guards all below
	records []record
	seen    mark
}

// mark tells one state of a stream from another.
type mark struct {
	created time.Time
	last    uint64
	msgs    uint64
}

// read also says whether something changed since the last time.
func (m *mirror) read(ctx context.Context) (records []record, changed bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ctx, cancel, err := m.store.bound(ctx)
	if err != nil {
		return nil, false, err
	}
	defer cancel()
	stream, err := m.store.stream(ctx, m.name)
	if err != nil {
		return nil, false, away(err)
	}
	info := stream.CachedInfo()
	now := mark{info.Created, info.State.LastSeq, info.State.Msgs}
	if now == m.seen {
		return m.records, false, nil
	}
	if m.records, err = m.store.records(ctx, m.name); err != nil {
		return nil, false, err
	}
	m.seen = now
	return m.records, true, nil
}

// alarmSettings are what operators have set.
type alarmSettings struct {
	rules    map[string]api.AlarmRuleChange
	book     alarm.Book
	acks     map[string]api.Ack
	silences []api.Silence
	webhooks []api.Webhook // with their secrets
	damaged  []string      // keys that cannot be read
}

// parseSettings leaves out what somebody has written by hand and cannot be read.
func parseSettings(records []record) *alarmSettings {
	s := &alarmSettings{
		rules: make(map[string]api.AlarmRuleChange), book: alarm.Standard(), acks: make(map[string]api.Ack),
	}
	for _, r := range records {
		if err := s.parse(r); err != nil {
			s.damaged = append(s.damaged, fmt.Sprintf("%s: %v", shorten(r.key), err))
		}
	}
	slices.SortFunc(s.silences, func(a, b api.Silence) int { return cmp.Or(a.Until.Compare(b.Until), cmp.Compare(a.ID, b.ID)) })
	return s
}

func (s *alarmSettings) parse(r record) error {
	switch {
	case r.key == keyHooks:
		return json.Unmarshal(r.value, &s.webhooks)
	case strings.HasPrefix(r.key, keyRule):
		return s.parseRule(r)
	case strings.HasPrefix(r.key, keySilence):
		silence := api.Silence{}
		if err := json.Unmarshal(r.value, &silence); err != nil {
			return err
		}
		silence.ID = strings.TrimPrefix(r.key, keySilence)
		s.silences = append(s.silences, silence)
		return nil
	case strings.HasPrefix(r.key, keyAck):
		id, err := agentOf(strings.TrimPrefix(r.key, keyAck))
		ack := api.Ack{}
		if err == nil {
			err = json.Unmarshal(r.value, &ack)
		}
		if err == nil {
			s.acks[id] = ack
		}
		return err
	}
	return errors.New("no such setting is known")
}

func (s *alarmSettings) parseRule(r record) error {
	var asked api.AlarmRuleChange
	if err := json.Unmarshal(r.value, &asked); err != nil {
		return err
	}
	asked.Name = strings.TrimPrefix(r.key, keyRule)
	rule, err := alarm.Parse(asked)
	if err != nil {
		return err
	}
	s.rules[asked.Name], s.book = asked, s.book.With(rule)
	return nil
}

// silenceOf is the first that hushes an alarm; nil when none does.
func (s *alarmSettings) silenceOf(a api.Alarm, now time.Time) *api.Silence {
	for _, silence := range s.silences {
		if alarm.Hushes(silence, a, now) {
			return &silence
		}
	}
	return nil
}

// describe adds what operators have said of an alarm.
func (s *alarmSettings) describe(a api.Alarm, now time.Time) api.Alarm {
	a.Acked, a.Silenced = nil, nil
	if ack, ok := s.acks[a.ID]; ok && a.State != api.AlarmResolved {
		a.Acked = &ack
	}
	if a.State != api.AlarmResolved {
		a.Silenced = s.silenceOf(a, now)
	}
	return a
}

// firing are those of a list that fire and are not silenced, as they are told.
func (s *alarmSettings) firing(list []api.Alarm) (firing []api.Alarm) {
	now := time.Now()
	for _, a := range list {
		if a = s.describe(a, now); a.State == api.AlarmFiring && a.Silenced == nil {
			firing = append(firing, a)
		}
	}
	return firing
}

// parseEntries are the alarms as they were stored. What cannot be read is left out: if it is true, it fires again.
func parseEntries(records []record) (entries []alarm.Entry, damaged []string) {
	for _, r := range records {
		var e alarm.Entry
		if err := json.Unmarshal(r.value, &e); err != nil || key(e.Alarm.ID) != r.key {
			damaged = append(damaged, shorten(r.key))
			continue
		}
		entries = append(entries, e)
	}
	return entries, damaged
}

// put stores a value, or removes it when it is nil.
func (s *store) putAlarm(ctx context.Context, bucket, key string, value any) error {
	if err := s.refuse(); err != nil {
		return err
	}
	if value == nil {
		return s.purge(ctx, bucket, key)
	}
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	err = s.use(ctx, bucket, func(ctx context.Context, kv jetstream.KeyValue) error {
		_, err := kv.Put(ctx, key, data)
		return written(err)
	})
	return s.explain(err)
}

// purge removes a key for good: without a mark, since ids of alarms are without number.
func (s *store) purge(ctx context.Context, bucket, key string) error {
	return s.use(ctx, bucket, func(ctx context.Context, _ jetstream.KeyValue) error {
		stream, err := s.stream(ctx, bucket)
		if err != nil {
			return err
		}
		return stream.Purge(ctx, jetstream.WithPurgeSubject("$KV."+bucket+"."+key))
	})
}

// ensureAlarms makes the buckets of alarms.
func (s *store) ensureAlarms(ctx context.Context) error {
	if err := s.refuse(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return bucket.EnsureAlarms(ctx, s.js, s.prefix)
}
