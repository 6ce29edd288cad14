package damrey

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"
)

// Option changes what [New] does by default.
type Option func(*options)

type options struct {
	conn          *nats.Conn
	connect       ConnectConfig
	prefix        string
	middleware    []Middleware
	drainTime     time.Duration
	queue         int
	replyPrefixes []string
	silent        bool
	tracer        trace.TracerProvider
	sampling      float64
}

// WithConn uses a connection that the caller made and closes. Without it the
// instance makes its own, see [Connect].
//
// Make it with nats.ReconnectBufSize(-1) if a message that was published while
// the connection was down should be pushed again instead of counted as unsure.
func WithConn(nc *nats.Conn) Option { return func(o *options) { o.conn = nc } }

// WithConnect says where and how to connect; what is left empty comes from the
// environment as [Connect] says.
func WithConnect(c ConnectConfig) Option { return func(o *options) { o.connect = c } }

// WithPrefix chooses the fabric: the first token of every subject. Default
// [DefaultPrefix].
func WithPrefix(prefix string) Option { return func(o *options) { o.prefix = prefix } }

// WithMiddleware wraps every handler of the instance. The first is the
// outermost; what [Instance.Handle] is given lies inside of all these.
func WithMiddleware(mw ...Middleware) Option {
	return func(o *options) { o.middleware = append(o.middleware, mw...) }
}

// WithDrainTime is how long Stop lets running handlers finish before it ends
// their contexts. Default 10 s; 0 ends them at once.
func WithDrainTime(d time.Duration) Option { return func(o *options) { o.drainTime = d } }

// WithQueue is how many messages may wait for room in mpu before requests get
// ERROR busy and sends are counted busy. Default 4,096, at least 1.
func WithQueue(n int) Option { return func(o *options) { o.queue = n } }

// WithReplyPrefix lets the instance answer to reply subjects that begin with
// one of these, besides its own connection's inboxes and _INBOX. For clients
// with an inbox prefix of their own.
func WithReplyPrefix(prefixes ...string) Option {
	return func(o *options) { o.replyPrefixes = append(o.replyPrefixes, prefixes...) }
}

// WithoutReports keeps the instance from counting by route, from sending beats
// and from giving copies to those who tap it: to measure what all this costs.
func WithoutReports() Option { return func(o *options) { o.silent = true } }

func newOptions(opts []Option) options {
	o := options{prefix: DefaultPrefix, drainTime: defaultDrainTime, queue: defaultQueue}
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

func (o options) validate() error {
	if err := CheckPrefix(o.prefix); err != nil {
		return fmt.Errorf("damrey: WithPrefix: %w", err)
	}
	if o.queue < 1 {
		return fmt.Errorf("damrey: WithQueue: %d; use 1 or more", o.queue)
	}
	if o.drainTime < 0 {
		return fmt.Errorf("damrey: WithDrainTime: %v; use 0 or more", o.drainTime)
	}
	return checkSampling(o.sampling)
}
