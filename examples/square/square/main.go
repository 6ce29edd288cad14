// Command square is the last worker of the line: it answers with the square of
// the number it is asked about.
package main

import (
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

	w := damrey.New(damrey.Config{Name: "square"}, log)
	w.Handle("square", square)
	go sayReady(ctx, w)
	if err := w.Serve(ctx); err != nil {
		log.Error().Err(err).Msg("square did not run")
		stop()
		os.Exit(1)
	}
}

// square answers the requester, whoever that is and however many workers the
// message has passed.
func square(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
	n, ok := new(big.Int).SetString(in.Arg(0), 10)
	if !ok {
		return nil, fmt.Errorf("%q is not a whole number", in.Arg(0))
	}
	return damrey.Reply(n.Mul(n, n).String()), nil
}

// sayReady prints a line when messages can reach w.
func sayReady(ctx context.Context, w *damrey.Instance) {
	select {
	case <-w.Ready():
		fmt.Println("ready")
	case <-ctx.Done():
	}
}
