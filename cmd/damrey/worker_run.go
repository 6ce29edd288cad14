package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/stdio"
)

const workerRunHelp = `Run any program as a worker. It reads one message a line on stdin, a JSON array such as

  ["REQUEST","add","1","2"]

and writes one line to stdout for each: either a message, where RESPONSE and ERROR answer and REQUEST goes
on along the worker's routes, or plain text, which is a RESPONSE with that one argument. An empty line
answers nothing. What it writes to stderr goes to the log. It must not keep lines back: python3 -u, for one.

  damrey worker run upper -- python3 -u upper.py
  damrey worker run square --procs 4 -- ./square

A process has one message at a time. One that writes a line nobody asked for, or that does not answer
within the message's time, is started anew, so that no answer goes to the wrong message; one that dies too,
and the message it had gets an ERROR. It prints ` + "`ready`" + ` when messages can reach it.

  NATS ── instance of NAME ── pool ─┬─ process
                                    └─ process   --procs`

type workerRunFlags struct {
	nats    natsFlags
	prefix  string
	rc      int
	timeout time.Duration
	drain   time.Duration
	procs   int
	otlp    otlp
	replies replyPrefixes
}

func newWorkerRunCommand(a *app) *cobra.Command {
	var f workerRunFlags
	cmd := &cobra.Command{
		Use:   "run NAME -- PROGRAM [ARG]...",
		Short: "Run any program as a worker: a message a line in, its answer a line out",
		Long:  workerRunHelp,
		Args:  nameAndProgram,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(args[0]); err != nil {
				return err
			}
			return a.runWorker(cmd.Context(), &f, args[0], args[1:])
		},
	}
	f.nats.add(cmd)
	flags := cmd.Flags()
	addPrefix(flags, &f.prefix)
	f.replies.add(flags)
	flags.IntVar(&f.rc, "rc", 3, "attempts to push a message")
	inRange(flags, "rc", "1 or more")
	flags.DurationVar(&f.timeout, "timeout", 5*time.Second, "time for a message that brings none of its own; at most 1h")
	inRange(flags, "timeout", "1ms to 1h")
	flags.DurationVar(&f.drain, "drain", 10*time.Second, "time to finish what was begun when this ends")
	inRange(flags, "drain", "more than 0")
	flags.IntVar(&f.procs, "procs", 1, "processes of the program, each with one message at a time")
	inRange(flags, "procs", "1 or more")
	f.otlp.add(cmd)
	return cmd
}

func nameAndProgram(cmd *cobra.Command, args []string) error {
	switch dash := cmd.ArgsLenAtDash(); {
	case len(args) == 0 || dash == 0:
		return usageError("NAME is missing: damrey worker run NAME -- PROGRAM [ARG]...")
	case dash > 1:
		return usageError("%q is one argument too many: one NAME stands before --", args[1])
	case dash < 0 && len(args) > 1:
		return usageError("put -- before the program: damrey worker run %s -- %s", args[0], args[1])
	case len(args) == 1:
		return usageError("the program is missing: damrey worker run %s -- PROGRAM [ARG]...", args[0])
	}
	return nil
}

func (f *workerRunFlags) check(name string) error {
	if err := damrey.CheckWorkerName(name); err != nil {
		return usageError("NAME: %w", err)
	}
	switch {
	case f.procs < 1:
		return usageError("--procs %d; use 1 or more", f.procs)
	case f.rc < 1:
		return usageError("--rc %d; use 1 or more", f.rc)
	case f.timeout < time.Millisecond || f.timeout > time.Hour:
		return usageError("--timeout %v is out of range; use 1ms to 1h", f.timeout)
	case f.drain <= 0:
		return usageError("--drain %v; use more than 0", f.drain)
	}
	if err := f.otlp.check(); err != nil {
		return err
	}
	if err := f.nats.check(); err != nil {
		return err
	}
	if err := checkPrefix(f.prefix); err != nil {
		return err
	}
	return f.replies.check(f.prefix)
}

func (a *app) runWorker(ctx context.Context, f *workerRunFlags, name string, argv []string) error {
	pool, err := stdio.New(stdio.Config{
		Argv: argv, Procs: f.procs, DrainTime: f.drain, Log: a.log.With().Str("worker", name).Logger(),
	})
	if err != nil {
		return err
	}
	ctx, release := a.untilStopped(ctx, pool.Kill)
	defer release()
	g := newGroup(ctx)
	spans, err := f.otlp.from(a).start(g, name, a.log)
	if err != nil {
		return g.finish(err)
	}
	instance := damrey.New(damrey.Config{Name: name, Rc: f.rc, Timeout: f.timeout}, a.log,
		damrey.WithConnect(f.nats.config), damrey.WithPrefix(f.prefix), damrey.WithReplyPrefix(f.replies...), damrey.WithDrainTime(f.drain),
		damrey.WithTraceSampling(f.otlp.share), damrey.WithTracer(spans))
	instance.Handle("*", pool.Do)
	err = g.start("program", pool.Run, pool.Ready())
	if err == nil {
		err = g.start("worker", instance.Serve, instance.Ready())
	}
	if err == nil {
		_, err = fmt.Fprintln(a.stdout, "ready") // whoever waits for it would wait for ever
	}
	return g.finish(err)
}
