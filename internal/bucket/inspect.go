package bucket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Fault is where a store of the fabric is not as this version makes it.
type Fault struct {
	Store string // name of the stream
	What  string // what is wrong with it, and what that does
	Do    string // what to type
	Hint  string // what else to know of that; empty: nothing
}

// Jobs says what stream of jobs a worker needs.
type Jobs struct {
	Worker string
	Limits Limits
	Keyed  bool
}

const (
	// proxyMakes is the way to what a proxy makes by itself.
	proxyMakes = "restart a proxy, which makes it: `damrey proxy`"
	// proxySoonMakes is the way to what a proxy makes when it looks the next time, 15 to 45 s after the last.
	proxySoonMakes = "again after 45 s, by when a proxy has made %s; restart one only if it has not"
	// newStream is the way to what no stream can be changed to.
	newStream = "keep what it holds with `damrey backup FILE`, remove it with `nats stream rm %s`, and the proxy makes it as it should be"
)

// Inspect compares the buckets, streams and consumers of a fabric with what this version makes. It changes nothing. The
// error says that JetStream could not be asked.
func Inspect(ctx context.Context, js jetstream.JetStream, prefix string, all []Jobs) ([]Fault, error) {
	in := &inspection{js: js}
	for _, b := range slices.Concat(buckets(prefix), alarms(prefix), []kv{proxies(prefix)}) {
		in.stream(ctx, b.wanted())
	}
	in.stream(ctx, traces{prefix}.wanted())
	for _, l := range logs(prefix) {
		in.stream(ctx, l.wanted())
	}
	late := later{prefix}
	if in.stream(ctx, late.wanted()) {
		in.consumers(ctx, late.stream(), late.consumer())
	}
	for _, w := range all {
		s := jobs{prefix: prefix, worker: w.Worker, limits: w.Limits}
		if !in.stream(ctx, s.wanted()) {
			continue
		}
		wanted := []jetstream.ConsumerConfig{s.unkeyedConsumer()}
		for p := 0; w.Keyed && p < Partitions; p++ {
			wanted = append(wanted, s.keyConsumer(p))
		}
		in.consumers(ctx, s.stream(), wanted...)
	}
	return in.faults, in.err
}

func (s kv) wanted() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: s.stream(), Subjects: []string{"$KV." + s.bucket + ".>"}, MaxMsgsPerSubject: int64(s.history),
		Discard: jetstream.DiscardNew, AllowRollup: true, AllowDirect: true,
	}
}

// inspection is what was found so far. The first error ends it.
type inspection struct {
	js     jetstream.JetStream
	faults []Fault
	err    error
}

func (in *inspection) fault(store, do, what string, args ...any) {
	in.faults = append(in.faults, Fault{Store: store, What: fmt.Sprintf(what, args...), Do: do})
}

// stream is false when there is none, or nobody knows.
func (in *inspection) stream(ctx context.Context, want jetstream.StreamConfig) bool {
	if in.err != nil {
		return false
	}
	have, err := readConfig(ctx, in.js, want.Name)
	if err != nil {
		in.err = fmt.Errorf("stream %s: %w", want.Name, err)
		return false
	}
	if have == nil {
		in.fault(want.Name, proxyMakes, "it is missing")
		return false
	}
	if in.newer(have) {
		return true
	}
	var got jetstream.StreamConfig
	if err := have.whole(&got); err != nil {
		in.err = fmt.Errorf("stream %s: %w", want.Name, err)
		return false
	}
	in.kind(got, want)
	in.limits(got, want)
	in.abilities(got, want)
	return true
}

// newer: a later version takes care of it.
func (in *inspection) newer(have config) bool {
	meta := map[string]string{}
	if have.get("metadata", &meta) != nil {
		return false
	}
	stored, err := schemaOf(meta, later{})
	return err == nil && stored > Schema
}

func (c config) whole(into *jetstream.StreamConfig) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

func (in *inspection) kind(got, want jetstream.StreamConfig) {
	if got.Retention != want.Retention {
		in.fault(want.Name, fmt.Sprintf(newStream, want.Name), "its retention is %s, and must be %s", got.Retention, want.Retention)
	}
	for _, subject := range want.Subjects {
		if !slices.Contains(got.Subjects, subject) {
			all := slices.Concat(got.Subjects, []string{subject})
			in.fault(want.Name, fmt.Sprintf("nats stream edit %s --subjects '%s'", want.Name, strings.Join(all, ",")),
				"it does not take %s: what is sent there is stored nowhere", subject)
		}
	}
	if got.Sealed {
		in.fault(want.Name, fmt.Sprintf(newStream, want.Name), "it is sealed and takes nothing any more")
	}
	if got.NoAck && !want.NoAck {
		in.fault(want.Name, fmt.Sprintf(newStream, want.Name), "it does not acknowledge what it stores")
	}
	if got.Mirror != nil {
		in.fault(want.Name, fmt.Sprintf(newStream, want.Name), "it is a mirror of %s and takes nothing of its own", got.Mirror.Name)
	}
}

func (in *inspection) limits(got, want jetstream.StreamConfig) {
	if want.Discard == jetstream.DiscardNew && got.Discard != jetstream.DiscardNew {
		in.fault(want.Name, "nats stream edit "+want.Name+" --discard new", "when it is full it drops what is oldest in place of refusing what is new")
	}
	if got.MaxAge > 0 && want.MaxAge == 0 {
		in.fault(want.Name, "nats stream edit "+want.Name+" --max-age 0s", "it forgets what is older than %v", got.MaxAge)
	}
	if least := want.MaxMsgsPerSubject; least > 0 && got.MaxMsgsPerSubject > 0 && got.MaxMsgsPerSubject < least {
		in.fault(want.Name, fmt.Sprintf("nats stream edit %s --max-msgs-per-subject %d", want.Name, least),
			"it keeps %d entries of one subject, fewer than %d", got.MaxMsgsPerSubject, least)
	}
	for _, limit := range []struct {
		flag      string
		got, want int64
	}{{"max-msgs", got.MaxMsgs, want.MaxMsgs}, {"max-bytes", got.MaxBytes, want.MaxBytes}} {
		if limit.want != 0 && max(0, limit.got) != max(0, limit.want) { // 0: whoever set one may have it
			in.fault(want.Name, fmt.Sprintf("nats stream edit %s --%s=%d", want.Name, limit.flag, limit.want),
				"its %s is %s, and the table says %s", limit.flag, unlimitedText(limit.got), unlimitedText(limit.want))
		}
	}
}

func unlimitedText(n int64) string {
	if n <= 0 {
		return "unlimited"
	}
	return fmt.Sprint(n)
}

func (in *inspection) abilities(got, want jetstream.StreamConfig) {
	for _, a := range []struct {
		got, want bool
		do, lacks string
	}{
		{got.AllowDirect, want.AllowDirect, "nats stream edit " + want.Name + " --allow-direct", "direct reads, so that reading is slow and fails without its leader"},
		{got.AllowRollup, want.AllowRollup, "nats stream edit " + want.Name + " --allow-rollup", "roll-ups, so that entries cannot be purged"},
		{got.AllowAtomicPublish, want.AllowAtomicPublish, fmt.Sprintf(newStream, want.Name), "atomic batches, so that sends with an id of their own fail"},
		{got.AllowMsgTTL, want.AllowMsgTTL, fmt.Sprintf(newStream, want.Name), "a time to live of messages, so that ids are never forgotten"},
		{got.AllowMsgSchedules, want.AllowMsgSchedules, proxyMakes, "schedules, so that nothing would ever come due"},
	} {
		if a.want && !a.got {
			in.fault(want.Name, a.do, "it does not allow %s", a.lacks)
		}
	}
}

// consumers that are missing are one fault: after a restore all of them are, for a moment.
func (in *inspection) consumers(ctx context.Context, stream string, wanted ...jetstream.ConsumerConfig) {
	var missing []string
	for _, want := range wanted {
		if in.err == nil && !in.consumer(ctx, stream, want) {
			missing = append(missing, want.Durable)
		}
	}
	if len(missing) == 0 {
		return
	}
	are, them := "consumer %s is", "it"
	if len(missing) > 1 {
		are, them = "consumers %s are", "them"
	}
	in.faults = append(in.faults, Fault{
		Store: stream, What: fmt.Sprintf("its "+are+" missing: what is stored is handed to nobody", strings.Join(missing, ", ")),
		Do: "damrey doctor", Hint: fmt.Sprintf(proxySoonMakes, them),
	})
}

// consumer is false when there is none; when that is not known the inspection has ended.
func (in *inspection) consumer(ctx context.Context, stream string, want jetstream.ConsumerConfig) bool {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	c, err := in.js.Consumer(ctx, stream, want.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return false
	}
	if err != nil {
		in.err = fmt.Errorf("consumer %s of stream %s: %w", want.Durable, stream, err)
		return true
	}
	got := c.CachedInfo().Config
	again := fmt.Sprintf("remove it with `nats consumer rm %s %s`, and %s", stream, want.Durable, proxyMakes)
	for _, d := range []struct {
		what      string
		got, want any
	}{
		{"filter", got.FilterSubject, want.FilterSubject}, {"acknowledgement", got.AckPolicy, want.AckPolicy}, {"ack wait", got.AckWait, want.AckWait},
		{"limit of deliveries", got.MaxDeliver, want.MaxDeliver}, {"limit of what is out", got.MaxAckPending, want.MaxAckPending},
		{"priority policy", got.PriorityPolicy, want.PriorityPolicy},
	} {
		if d.got != d.want {
			in.fault(stream, again, "the %s of its consumer %s is %v, and must be %v", d.what, want.Durable, d.got, d.want)
		}
	}
	if until := got.PauseUntil; until != nil && until.After(time.Now()) {
		in.fault(stream, fmt.Sprintf("nats consumer resume %s %s", stream, want.Durable), "its consumer %s is paused until %s", want.Durable, until.Format(time.RFC3339))
	}
	return true
}
