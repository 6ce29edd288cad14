package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/bucket"
	"github.com/damrey/damrey/internal/wire"
)

// askFlags are what `damrey request` and `damrey send` have in common: both speak as a worker without the library, and
// the bridge of the agent or proxy there finds the way.
type askFlags struct {
	nats    natsFlags
	prefix  string
	timeout time.Duration
	wait    time.Duration // for the answer; 0: timeout
	out     output
}

func (f *askFlags) add(cmd *cobra.Command) {
	f.nats.add(cmd)
	addPrefix(cmd.Flags(), &f.prefix)
	cmd.Flags().DurationVar(&f.timeout, "timeout", 5*time.Second, "time for NATS to be reached, and then for the answer; at most 1h")
	inRange(cmd.Flags(), "timeout", "1ms to 1h")
	f.out.add(cmd, "text")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		if _, isValue := errors.AsType[*pflag.InvalidValueError](err); isValue {
			return flagError(err)
		}
		return usageError("%w; put -- before arguments that begin with -", err)
	})
}

// check refuses what would not be a subject.
func (f *askFlags) check(from, typ string) error {
	if err := damrey.CheckWorkerName(from); err != nil {
		return usageError("FROM: %w", err)
	}
	if err := damrey.CheckName(typ); err != nil {
		return usageError("TYPE: %w", err)
	}
	if f.timeout < time.Millisecond || f.timeout > time.Hour {
		return usageError("--timeout %v is out of range; use 1ms to 1h", f.timeout)
	}
	if err := f.nats.check(); err != nil {
		return err
	}
	return checkPrefix(f.prefix)
}

func fromTypeArgs(_ *cobra.Command, args []string) error {
	if len(args) < 2 {
		return usageError("%s is missing", []string{"FROM TYPE", "TYPE"}[len(args)])
	}
	return nil
}

// storeTime is how long the library and the bridge go on trying to store a message.
const storeTime = 15 * time.Second

const (
	// lookBefore is how long before the time is up, at most, it is asked where the message is.
	lookBefore = 250 * time.Millisecond
	// lateAnswer is how much longer than its time the answer is waited for as long as nobody has said where the message is:
	// an ERROR or TIMEOUT that is on its way says that too, and how it came. Once it is known the time is what was asked for.
	// Nobody says it of a send, and where the bridge is cut off or too busy.
	lateAnswer = 250 * time.Millisecond
	// lookAgain is the time between two looks whether it is known.
	lookAgain = 10 * time.Millisecond
)

// conversation is a connection that asks and hears the answer.
type conversation struct {
	f       *askFlags
	nc      *nats.Conn
	inbox   string
	answers *nats.Subscription
	warned  bool // of a stream over the fabric's subjects
}

// open connects as the worker. The caller closes the connection.
func (f *askFlags) open(from string) (*conversation, error) {
	config := f.nats.config
	config.Name = "damrey-" + from
	nc, err := connectNow(config, f.timeout,
		"is an agent, a proxy or `damrey dev` running there? name another server with --nats or NATS_URL")
	if err != nil {
		return nil, err
	}
	c := &conversation{f: f, nc: nc, inbox: nc.NewInbox()}
	if c.answers, err = nc.SubscribeSync(c.inbox + ".>"); err != nil {
		nc.Close()
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	return c, nil
}

// ask pushes one message through the bridge and waits for what becomes of it.
func (f *askFlags) ask(ctx context.Context, args []string, header nats.Header) (reply, error) {
	c, err := f.open(args[0])
	if err != nil {
		return reply{}, err
	}
	defer c.nc.Close()
	return c.ask(ctx, args, header)
}

func (c *conversation) ask(ctx context.Context, args []string, header nats.Header) (reply, error) {
	from, typ := args[0], args[1]
	question := &nats.Msg{
		Subject: damrey.OutSubject(c.f.prefix, from, typ),
		// The budget rides in the reply subject: kind and call, milliseconds, hops, cost.
		Reply:  c.inbox + ".~q1." + strconv.FormatInt(c.f.timeout.Milliseconds(), 10) + ".0.1",
		Header: header,
		Data:   wire.Append(nil, damrey.NewRequest(typ, args[2:]...)),
	}
	if int64(len(question.Data)) > c.nc.MaxPayload() {
		return reply{}, fmt.Errorf("the message has %d bytes, and NATS takes %d", len(question.Data), c.nc.MaxPayload())
	}
	if err := c.nc.PublishMsg(question); err != nil {
		return reply{}, fmt.Errorf("publish: %w", err)
	}
	return c.await(ctx, question.Reply, from, typ)
}

// await waits for the answer, and shortly before its time is up asks where the message is.
func (c *conversation) await(ctx context.Context, asked, from, typ string) (reply, error) {
	began, timeout := time.Now(), cmp.Or(c.f.wait, c.f.timeout)
	ctx, cancel := context.WithTimeout(ctx, timeout+lateAnswer)
	defer cancel()
	until := began.Add(timeout - min(timeout/4, lookBefore))
	where := whereabouts{conversation: c, reply: asked}
	for {
		m, err := c.next(ctx, until)
		switch {
		case errors.Is(err, context.DeadlineExceeded) && !where.asked() && ctx.Err() == nil:
			where.ask(began)
			until = began.Add(timeout)
		case errors.Is(err, context.DeadlineExceeded) && !where.answered() && ctx.Err() == nil:
			until = time.Now().Add(lookAgain)
		case errors.Is(err, nats.ErrNoResponders) || err == nil && len(m.Data) == 0 && m.Header.Get("Status") == "503":
			return reply{}, fmt.Errorf("nobody routes for the NATS server %s: there is no agent or proxy of the fabric %q; "+
				"start `damrey agent` or `damrey proxy`, or name another server with --nats", c.nc.ConnectedUrlRedacted(), c.f.prefix)
		case errors.Is(err, context.DeadlineExceeded):
			return reply{
				msg:   damrey.Msg{damrey.TIMEOUT},
				where: from + "→" + typ, spent: timeout, path: where.hops(from+"→"+typ, timeout),
			}, nil
		case err != nil:
			return reply{}, fmt.Errorf("wait for the answer: %w", err)
		case c.isAck(m):
		default:
			r := readReply(m, typ)
			r.where, r.spent = cmp.Or(r.where, from+"→"+typ), timeout
			if r.msg.Tag() == damrey.TIMEOUT {
				r.path = where.hops(from+"→"+typ, timeout)
			}
			return r, nil
		}
	}
}

// isAck: somebody put a stream over the fabric's subjects, which acknowledges what it stores. That is no answer.
func (c *conversation) isAck(m *nats.Msg) bool {
	stream, ok := bucket.ReadAck(m.Data)
	if ok && !c.warned {
		c.warned = true
		c.f.nats.config.Log.Warn().Str("stream", stream).
			Msg("a JetStream stream stores this fabric's subjects and acknowledges to who asks, which is no answer; narrow its subjects, or set no_ack on it")
	}
	return ok
}

// next is what comes next, until then.
func (c *conversation) next(ctx context.Context, until time.Time) (*nats.Msg, error) {
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	return c.answers.NextMsgWithContext(ctx)
}

// whereabouts asks where a message is.
type whereabouts struct {
	*conversation
	reply   string
	after   time.Duration // when it was asked; 0: it was not
	answers *nats.Subscription
}

func (w *whereabouts) asked() bool { return w.after > 0 }

// answered: somebody has said something.
func (w *whereabouts) answered() bool {
	if w.answers == nil {
		return false
	}
	n, _, err := w.answers.Pending()
	return err == nil && n > 0
}

// ask is answered by whoever has the message or passed it on. What does not leave is not answered, and the TIMEOUT then says
// less.
func (w *whereabouts) ask(began time.Time) {
	w.after = time.Since(began)
	question, err := damrey.WhereQuestion(w.reply, 0)
	inbox := w.nc.NewInbox()
	if err == nil {
		w.answers, err = w.nc.SubscribeSync(inbox)
	}
	if err == nil {
		_ = w.nc.PublishRequest(damrey.WhereSubject(w.f.prefix, damrey.BridgeWorker), inbox, question)
	}
}

// hops are nil when nobody was asked, or answered.
func (w *whereabouts) hops(first string, spent time.Duration) []damrey.Hop {
	var answers [][]byte
	for w.answers != nil {
		m, err := w.answers.NextMsg(time.Millisecond)
		if err != nil {
			break // nothing more is there
		}
		answers = append(answers, m.Data)
	}
	if len(answers) == 0 {
		return nil
	}
	return damrey.ReadHops(first, answers, w.after, spent)
}
