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
	"github.com/damrey/damrey/internal/wire"
)

// askFlags are what `damrey request` and `damrey send` have in common: both speak as a worker without the library, and
// the bridge of the agent or proxy there finds the way.
type askFlags struct {
	nats    natsFlags
	prefix  string
	timeout time.Duration
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

// lateAnswer is how much longer than its time the answer is waited for, so that who knows where the time was lost can
// still say so.
const lateAnswer = 250 * time.Millisecond

// ask pushes one message through the bridge and waits for what becomes of it.
func (f *askFlags) ask(ctx context.Context, args []string, header nats.Header) (reply, error) {
	from, typ := args[0], args[1]
	c := f.nats.config
	c.Name = "damrey-" + from
	nc, err := connectNow(c, f.timeout,
		"is an agent, a proxy or `damrey dev` running there? name another server with --nats or NATS_URL")
	if err != nil {
		return reply{}, err
	}
	defer nc.Close()
	inbox := nc.NewInbox()
	answers, err := nc.SubscribeSync(inbox + ".>")
	if err != nil {
		return reply{}, fmt.Errorf("subscribe: %w", err)
	}
	question := &nats.Msg{
		Subject: damrey.OutSubject(f.prefix, from, typ),
		// The budget rides in the reply subject: kind and call, milliseconds, hops, cost.
		Reply:  inbox + ".~q1." + strconv.FormatInt(f.timeout.Milliseconds(), 10) + ".0.1",
		Header: header,
		Data:   wire.Append(nil, damrey.NewRequest(typ, args[2:]...)),
	}
	if int64(len(question.Data)) > nc.MaxPayload() {
		return reply{}, fmt.Errorf("the message has %d bytes, and NATS takes %d", len(question.Data), nc.MaxPayload())
	}
	if err := nc.PublishMsg(question); err != nil {
		return reply{}, fmt.Errorf("publish: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout+lateAnswer)
	defer cancel()
	return f.await(ctx, nc, answers, from, typ)
}

func (f *askFlags) await(ctx context.Context, nc *nats.Conn, answers *nats.Subscription, from, typ string) (reply, error) {
	m, err := answers.NextMsgWithContext(ctx)
	switch {
	case errors.Is(err, nats.ErrNoResponders) || err == nil && len(m.Data) == 0 && m.Header.Get("Status") == "503":
		return reply{}, fmt.Errorf("nobody routes for the NATS server %s: there is no agent or proxy of the fabric %q; "+
			"start `damrey agent` or `damrey proxy`, or name another server with --nats", nc.ConnectedUrlRedacted(), f.prefix)
	case errors.Is(err, context.DeadlineExceeded):
		return reply{
			msg:   damrey.Msg{damrey.TIMEOUT},
			where: from + "→" + typ, spent: f.timeout.String(),
		}, nil
	case err != nil:
		return reply{}, fmt.Errorf("wait for the answer: %w", err)
	}
	r := readReply(m, typ)
	r.where, r.spent = cmp.Or(r.where, from+"→"+typ), f.timeout.String()
	return r, nil
}
