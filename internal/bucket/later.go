package bucket

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// LaterConsumer is the one consumer of what is due.
	LaterConsumer = "mover"
	// LaterAckWait is how long a proxy that is silent keeps a message that is due. It is longer than storing one tries.
	LaterAckWait = 20 * time.Second
	// laterInHand is how many of them are on their way at once, over all proxies.
	laterInHand = 512
)

// LaterStream holds messages that are to be sent later, and those that are due until they were moved on.
func LaterStream(prefix string) string { return strings.ToUpper(prefix) + "_LATER" }

// ErrTooOld means that the server cannot do what was asked for.
var ErrTooOld = errors.New("the NATS server is too old")

// Needs refuses a server below major.minor, naming the feature. A version that cannot be read passes: the server will say
// what it does not know.
func Needs(version string, major, minor int, feature string) error {
	var haveMajor, haveMinor int
	if n, _ := fmt.Sscanf(version, "%d.%d", &haveMajor, &haveMinor); n < 2 {
		return nil
	}
	if haveMajor > major || haveMajor == major && haveMinor >= minor {
		return nil
	}
	return fmt.Errorf("%w: %s need nats-server %d.%d or newer, this one is %s; upgrade it, or use the broker inside `damrey proxy`",
		ErrTooOld, feature, major, minor, version)
}

// NeedsLater refuses a server that cannot send messages later.
func NeedsLater(version string) error { return Needs(version, 2, 12, "delayed messages") }

// NeedsRepeat refuses a server that cannot send messages again and again.
func NeedsRepeat(version string) error { return Needs(version, 2, 14, "cron and every") }

// EnsureLater makes the stream of messages that are to be sent later, with its consumer, and the streams that what cannot
// be sent on then needs.
func EnsureLater(ctx context.Context, js jetstream.JetStream, prefix string) error {
	s := later{prefix}
	// A server that does not know schedules would store them and never send them.
	if err := NeedsLater(js.Conn().ConnectedServerVersion()); err != nil {
		return fmt.Errorf("stream %s: %w", s.stream(), err)
	}
	if err := ensure(ctx, js, s); err != nil {
		return fmt.Errorf("stream %s: %w", s.stream(), err)
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if _, err := js.CreateOrUpdateConsumer(ctx, s.stream(), s.consumer()); err != nil {
		return fmt.Errorf("consumer %s of stream %s: %w", LaterConsumer, s.stream(), err)
	}
	return EnsureDead(ctx, js, prefix)
}

// later is the stream of messages that are to be sent later. JetStream does not let a stream with schedules refuse what
// is new, so it has no limits.
type later struct{ prefix string }

func (s later) stream() string { return LaterStream(s.prefix) }

func (s later) consumer() jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: LaterConsumer, Description: "Damrey: moves what is due to where its route leads", FilterSubject: s.prefix + ".due.>",
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: LaterAckWait, MaxDeliver: -1, MaxAckPending: laterInHand,
	}
}

func (s later) create(ctx context.Context, js jetstream.JetStream) error {
	return createStream(ctx, js, s.wanted())
}

func (s later) wanted() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: s.stream(), Subjects: []string{s.prefix + ".later.>", s.prefix + ".due.>"},
		Description: "Damrey: messages that are sent later", Retention: jetstream.WorkQueuePolicy,
		AllowDirect: true, AllowMsgSchedules: true, AllowRollup: true, Duplicates: Duplicates,
	}
}

// merge switches schedules on in a stream that somebody made by hand: without them nothing would ever come due.
func (s later) merge(cfg config) (changed bool, err error) {
	for _, field := range []string{"allow_msg_schedules", "allow_rollup_hdrs"} {
		var have bool
		if err := cfg.get(field, &have); err != nil {
			return false, err
		}
		if !have {
			cfg.set(field, true)
			changed = true
		}
	}
	return changed, nil
}
