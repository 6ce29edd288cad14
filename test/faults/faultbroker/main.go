//go:build unix

// Faultbroker is a broker in a process of its own for the fault suite, with
// nothing else beside it that could be what breaks. It prints "ready", and on
// SIGUSR1 a line of statistics.
package main

import (
	"context"
	"flag"
	"os"
	"os/signal"
	"syscall"

	"github.com/rs/zerolog"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/broker"
	"github.com/damrey/damrey/test/faults/tell"
)

func main() {
	cfg := broker.Config{Log: zerolog.New(os.Stderr).With().Timestamp().Logger()}
	flag.IntVar(&cfg.Port, "port", 0, "port for clients")
	flag.IntVar(&cfg.LeafPort, "leaf-port", 0, "port for agents")
	flag.StringVar(&cfg.Dir, "data", "", "directory of its data")
	flag.Parse()
	if err := run(cfg); err != nil {
		cfg.Log.Fatal().Err(err).Send()
	}
}

func run(cfg broker.Config) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	b, err := broker.New(cfg)
	if err != nil {
		return err
	}
	go tell.Run(b.Ready(), func() damrey.Stats { return damrey.Stats{} })
	return b.Run(ctx)
}
