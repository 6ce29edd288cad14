//go:build unix

// Faultworker is one instance of a worker for the fault suite. It enters every
// message that it begins to handle in a journal, which outlives a kill -9, and
// answers with the message's arguments. A line of the journal is the letter A
// for a message that is answered here or F for one that is forwarded, the
// worker, and the message's first argument.
//
// The second argument of a message may ask for trouble: "hang" never returns,
// "exit" ends the process at once. SIGUSR1 prints a line of statistics.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/test/faults/tell"
)

type config struct {
	name    string
	nats    string
	journal string
	forward string
	sleep   time.Duration
	queue   int
	unread  bool
}

func main() {
	var c config
	flag.StringVar(&c.name, "name", "", "name of the worker")
	flag.StringVar(&c.nats, "nats", "", "URL of NATS")
	flag.StringVar(&c.journal, "journal", "", "file that takes the first argument of every message that is begun")
	flag.StringVar(&c.forward, "forward", "", "type of the request that every message goes on as; empty: it is answered")
	flag.DurationVar(&c.sleep, "sleep", 0, "how long a message takes")
	flag.IntVar(&c.queue, "queue", 4096, "messages that may wait")
	flag.BoolVar(&c.unread, "unread", false, "leave everything unread on the channel")
	flag.Parse()
	log := zerolog.New(os.Stderr).With().Timestamp().Logger()
	if err := run(c, log); err != nil {
		log.Fatal().Err(err).Send()
	}
}

func run(c config, log zerolog.Logger) error {
	journal, err := os.OpenFile(c.journal, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer journal.Close()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	w := damrey.New(damrey.Config{Name: c.name}, log,
		damrey.WithConnect(damrey.ConnectConfig{URL: c.nats}), damrey.WithQueue(c.queue), damrey.WithDrainTime(2*time.Second))
	if c.unread {
		w.RecvChannel()
	} else {
		w.Handle("*", c.handler(journal, log))
	}
	go tell.Run(w.Ready(), w.Stats)
	return w.Serve(ctx)
}

// handler answers with the arguments, or passes them on.
func (c config) handler(journal io.Writer, log zerolog.Logger) damrey.HandlerFunc {
	letter := "A"
	if c.forward != "" {
		letter = "F"
	}
	return func(ctx context.Context, in damrey.Msg) (damrey.Msg, error) {
		if _, err := fmt.Fprintf(journal, "%s %s %s\n", letter, c.name, in.Arg(0)); err != nil {
			log.Fatal().Err(err).Msg("the journal cannot be written")
		}
		switch in.Arg(1) {
		case "hang":
			select {}
		case "exit":
			os.Exit(7)
		}
		if c.sleep > 0 {
			pause(ctx, c.sleep)
		}
		if c.forward != "" {
			return damrey.NewRequest(c.forward, in.Args()...), nil
		}
		return damrey.Reply(in.Args()...), nil
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
