// Command testworker reads and writes messages through the two channels of
// damrey.Worker: it answers an ERROR to everything.
package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/rs/zerolog"

	"github.com/damrey/damrey"
)

func main() {
	log := zerolog.New(os.Stderr).With().Timestamp().Logger()
	nc, err := damrey.Connect(damrey.ConnectConfig{Name: "testWorker", Log: log})
	if err != nil {
		log.Fatal().Err(err).Msg("testworker did not run")
	}
	defer nc.Close()

	t := New(nc, log)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		t.Stop()
	}()
	t.Run()
}
