package bucket

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// JobsConsumer is the consumer of a stream of jobs, but for those with a key.
	JobsConsumer = "work"
	// Partitions of the messages that have a key; each has a consumer of its own. Never changed: what is stored would be
	// found in another one.
	Partitions = 16
	// KeyGroup is the group of those who ask for messages of one partition. The broker gives them to one of it.
	KeyGroup = "owner"
	// KeyPinned is how long the owner of a partition may be silent until another becomes it.
	KeyPinned = 8 * time.Second
	// KeyWindow is how many messages of one partition may be handed out at a time.
	KeyWindow = 128
	// AckWait is how long an instance that is silent keeps a job.
	AckWait = 10 * time.Second
	// CodeStoreFailed is JetStream's for a stream at its limit that refuses new messages: "maximum messages exceeded",
	// "maximum bytes exceeded".
	CodeStoreFailed = 10077
	// CodeNoLeader is what the JetStream of a cluster answers while it has no leader.
	CodeNoLeader = 10008
	// deadAge is how long dead letters are kept.
	deadAge = 30 * 24 * time.Hour
	// triedAge is how long a job's failures are remembered after the last one. It is longer than a backoff can be.
	triedAge = 7 * 24 * time.Hour
	// electionTime is how long making a consumer may take, of which each copy is elected.
	electionTime = 15 * time.Second
	// Duplicates is how long a message that is stored again under its id is known. Nobody tries for so long.
	Duplicates = 2 * time.Minute
)

// JobsStream holds the messages of durable routes to a worker.
func JobsStream(prefix, worker string) string { return strings.ToUpper(prefix) + "_JOBS_" + worker }

// DeadStream holds the dead letters of a fabric.
func DeadStream(prefix string) string { return strings.ToUpper(prefix) + "_DEAD" }

// TriedStream holds what is known of the failures of messages that are tried again.
func TriedStream(prefix string) string { return strings.ToUpper(prefix) + "_TRIED" }

// RestoringSubject is where who restores a fabric's streams says so, at least every second: proxies leave them alone
// meanwhile.
func RestoringSubject(prefix string) string { return prefix + ".event.restoring" }

// Limits of a stream of jobs; 0 means no limit.
type Limits struct{ Messages, Bytes int64 }

// EnsureJobs makes or raises the stream of jobs of one worker, with its consumer, and changes its limits.
func EnsureJobs(ctx context.Context, js jetstream.JetStream, prefix, worker string, limits Limits) error {
	s := jobs{prefix: prefix, worker: worker, limits: limits}
	if err := ensure(ctx, js, s); err != nil {
		return fmt.Errorf("stream %s: %w", s.stream(), err)
	}
	return s.ensureUnkeyed(ctx, js)
}

// EnsureConsumers makes the consumers that a stream of jobs needs for what it holds, whether or not a route leads there.
func EnsureConsumers(ctx context.Context, js jetstream.JetStream, prefix, worker string) error {
	s := jobs{prefix: prefix, worker: worker}
	if err := s.ensureUnkeyed(ctx, js); err != nil {
		return err
	}
	stream, err := js.Stream(ctx, s.stream())
	if err == nil {
		_, err = stream.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(s.unkeyed()+".*"))
	}
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stream %s: %w", s.stream(), err)
	}
	return EnsureKeyed(ctx, js, prefix, worker)
}

func (s jobs) ensureUnkeyed(ctx context.Context, js jetstream.JetStream) error {
	ctx, cancel := context.WithTimeout(ctx, electionTime)
	defer cancel()
	if _, err := js.CreateOrUpdateConsumer(ctx, s.stream(), s.unkeyedConsumer()); err != nil {
		return fmt.Errorf("consumer %s of stream %s: %w", JobsConsumer, s.stream(), err)
	}
	return nil
}

func (s jobs) unkeyedConsumer() jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: JobsConsumer, Description: "Damrey: instances of " + s.worker, FilterSubject: s.unkeyed(),
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: AckWait,
		// Failures are counted by the instances: a job that was handed back has not failed.
		MaxDeliver:    -1,
		MaxAckPending: -1, // bounded by what the instances' mpu can take
	}
}

// KeyConsumer is the consumer of one partition.
func KeyConsumer(partition int) string { return "key-" + strconv.Itoa(partition) }

// IsJobsConsumer says that a consumer is one that Damrey makes for a stream of jobs.
func IsJobsConsumer(name string) bool {
	return name == JobsConsumer || strings.HasPrefix(name, "key-")
}

// EnsureKeyed makes the consumers of the partitions of a stream of jobs that is there. Instances look for the first, which
// is made last.
func EnsureKeyed(ctx context.Context, js jetstream.JetStream, prefix, worker string) error {
	s := jobs{prefix: prefix, worker: worker}
	failed := make([]error, Partitions)
	var making sync.WaitGroup
	for p := 1; p < Partitions; p++ { // at once: in a cluster each waits for an election
		making.Go(func() { failed[p] = s.ensurePartition(ctx, js, p) })
	}
	making.Wait()
	if err := errors.Join(failed...); err != nil {
		return err
	}
	return s.ensurePartition(ctx, js, 0)
}

func (s jobs) ensurePartition(ctx context.Context, js jetstream.JetStream, p int) error {
	ctx, cancel := context.WithTimeout(ctx, electionTime)
	defer cancel()
	if _, err := js.CreateOrUpdateConsumer(ctx, s.stream(), s.keyConsumer(p)); err != nil {
		return fmt.Errorf("consumer %s of stream %s: %w", KeyConsumer(p), s.stream(), err)
	}
	return nil
}

func (s jobs) keyConsumer(p int) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: KeyConsumer(p), Description: fmt.Sprintf("Damrey: keys of %s, partition %d", s.worker, p), FilterSubject: s.partition(p),
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: AckWait, MaxDeliver: -1, MaxAckPending: KeyWindow,
		PriorityPolicy: jetstream.PriorityPolicyPinned, PriorityGroups: []string{KeyGroup}, PinnedTTL: KeyPinned,
	}
}

// EnsureDead makes the streams of dead letters and of failures.
func EnsureDead(ctx context.Context, js jetstream.JetStream, prefix string) error {
	for _, s := range logs(prefix) {
		if err := ensure(ctx, js, s); err != nil {
			return fmt.Errorf("stream %s: %w", s.name, err)
		}
	}
	return nil
}

func logs(prefix string) []log {
	return []log{
		{DeadStream(prefix), prefix + ".dead.>", "Damrey: dead letters", -1, deadAge},
		{TriedStream(prefix), prefix + ".tried.>", "Damrey: failures of stored messages", 1, triedAge},
	}
}

// jobs is a stream of jobs.
type jobs struct {
	prefix, worker string
	limits         Limits
}

func (s jobs) stream() string  { return JobsStream(s.prefix, s.worker) }
func (s jobs) subject() string { return s.prefix + ".job." + s.worker + ".>" }
func (s jobs) unkeyed() string { return s.prefix + ".job." + s.worker + ".*.*" }
func (s jobs) partition(p int) string {
	return s.prefix + ".job." + s.worker + ".*.*." + strconv.Itoa(p)
}
func (s jobs) held() string { return s.prefix + ".held." + s.worker + ".>" }
func (s jobs) ids() string  { return s.prefix + ".id." + s.worker + ".>" }

func (s jobs) subjects() []string { return []string{s.subject(), s.held(), s.ids()} }

// closed is all that the stream takes while it is removed, so that nothing comes in between.
func (s jobs) closed() string { return s.prefix + ".closed." + s.worker }

func (s jobs) create(ctx context.Context, js jetstream.JetStream) error {
	return createStream(ctx, js, s.wanted())
}

func (s jobs) wanted() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: s.stream(), Subjects: s.subjects(), Description: "Damrey: jobs of " + s.worker,
		Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew, AllowDirect: true,
		MaxMsgs: unlimited(s.limits.Messages), MaxBytes: unlimited(s.limits.Bytes), Duplicates: Duplicates,
		AllowAtomicPublish: true, AllowMsgTTL: true, // for ids of the application's own, and dead letters
	}
}

// merge sets the limits. That they are below what is stored is no matter: nothing is removed, and new ones are refused. It opens
// a stream again whose removal was interrupted.
func (s jobs) merge(cfg config) (changed bool, err error) {
	for field, want := range map[string]int64{
		"max_msgs": unlimited(s.limits.Messages), "max_bytes": unlimited(s.limits.Bytes),
	} {
		var have int64
		if err := cfg.get(field, &have); err != nil {
			return false, err
		}
		if have != want {
			cfg.set(field, want)
			changed = true
		}
	}
	var subjects []string
	if err := cfg.get("subjects", &subjects); err != nil {
		return false, err
	}
	has := len(subjects)
	for _, subject := range s.subjects() {
		if !slices.Contains(subjects, subject) { // closed, or made by an older version
			subjects = append(subjects, subject)
		}
	}
	if len(subjects) > has {
		cfg.set("subjects", slices.DeleteFunc(subjects, func(subject string) bool { return subject == s.closed() }))
		changed = true
	}
	return changed, nil
}

// log is a stream that forgets by age.
type log struct {
	name, subject, description string
	perSubject                 int64
	age                        time.Duration
}

func (s log) stream() string { return s.name }

func (s log) create(ctx context.Context, js jetstream.JetStream) error {
	return createStream(ctx, js, s.wanted())
}

func (s log) wanted() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: s.name, Subjects: []string{s.subject}, Description: s.description,
		MaxAge: s.age, MaxMsgsPerSubject: s.perSubject, AllowDirect: true, Duplicates: Duplicates,
	}
}

// merge changes nothing: how long they are kept is the operator's.
func (s log) merge(config) (bool, error) { return false, nil }

func createStream(ctx context.Context, js jetstream.JetStream, cfg jetstream.StreamConfig) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	cfg.Metadata = map[string]string{schemaKey: strconv.Itoa(Schema)}
	err := creating(ctx, func() error { _, err := js.CreateStream(ctx, cfg); return err })
	if err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return fmt.Errorf("create it: %w", err)
	}
	return nil
}

func unlimited(n int64) int64 {
	if n == 0 {
		return -1
	}
	return n
}
