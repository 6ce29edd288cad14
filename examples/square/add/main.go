// Command add is the worker in the middle of the line: it adds its arguments
// and sends the sum on as a "square". It does not know who squares.
//
// WORKER is the name it works under, add when it is not set, so that a second
// one can stand by under another name for entry's messages to be sent to.
package main

import (
	"cmp"
	"context"
	"fmt"
	"math/big"
	"os"
	"os/signal"
	"syscall"

	"github.com/rs/zerolog"

	"github.com/damrey/damrey"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := zerolog.New(os.Stderr).With().Timestamp().Logger()

	w := damrey.New(damrey.Config{Name: cmp.Or(os.Getenv("WORKER"), "add")}, log)
	w.Handle("add", add)
	go sayReady(ctx, w)
	if err := w.Serve(ctx); err != nil {
		log.Error().Err(err).Msg("add did not run")
		stop()
		os.Exit(1)
	}
}

// add returns a REQUEST, and so the message goes on along this worker's
// routes; whoever comes last answers the first requester. An error is the
// answer instead.
func add(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
	sum := new(big.Int)
	for _, arg := range in.Args() {
		n, ok := new(big.Int).SetString(arg, 10)
		if !ok {
			return nil, fmt.Errorf("%q is not a whole number", arg)
		}
		sum.Add(sum, n)
	}
	return damrey.NewRequest("square", sum.String()), nil
}

// sayReady prints a line when messages can reach w.
func sayReady(ctx context.Context, w *damrey.Instance) {
	select {
	case <-w.Ready():
		fmt.Println("ready")
	case <-ctx.Done():
	}
}
