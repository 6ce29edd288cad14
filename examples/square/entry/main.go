// Command entry is where http requests come into the fabric:
//
//	GET /?a=3&b=4  →  REQUEST add 3 4  →  the answer's argument
//
// It listens on HTTP_ADDR, 127.0.0.1:8090 when that is not set. It asks for an
// "add" and does not know who adds, nor that somebody squares.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/damrey/damrey"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := zerolog.New(os.Stderr).With().Timestamp().Logger()

	if err := run(ctx, cmp.Or(os.Getenv("HTTP_ADDR"), "127.0.0.1:8090"), log); err != nil {
		log.Error().Err(err).Msg("entry did not run")
		stop()
		os.Exit(1)
	}
}

// run serves http and the worker until ctx ends; when one of them ends, so
// does the other.
func run(ctx context.Context, addr string, log zerolog.Logger) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("%w; choose another address with HTTP_ADDR", err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	w := damrey.New(damrey.Config{Name: "entry", Timeout: 5 * time.Second}, log)
	server := &http.Server{Handler: newHandler(w), ReadHeaderTimeout: 5 * time.Second}

	served := make(chan error, 1)
	go func() {
		defer stop()
		served <- server.Serve(ln)
	}()
	go sayReady(ctx, w)
	worked := make(chan error, 1)
	instance, stopInstance := context.WithCancel(context.WithoutCancel(ctx))
	defer stopInstance()
	go func() {
		defer stop()
		worked <- w.Serve(instance)
	}()

	<-ctx.Done()
	// The requests that have come get their answers before the worker leaves.
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err = server.Shutdown(closing)
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	stopInstance()
	return errors.Join(err, <-worked)
}

// sayReady prints a line when w can send and be reached.
func sayReady(ctx context.Context, w *damrey.Instance) {
	select {
	case <-w.Ready():
		fmt.Println("ready")
	case <-ctx.Done():
	}
}
