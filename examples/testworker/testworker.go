package main

import (
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/damrey/damrey"
)

type testWorker struct {
	zerolog.Logger
	ch chan struct{}
	wk damrey.Worker
}

// New makes the worker on a connection that the caller closes.
func New(nc *nats.Conn, log zerolog.Logger) *testWorker {
	return &testWorker{
		Logger: log,
		ch:     make(chan struct{}),
		wk:     damrey.New(damrey.Config{Rc: 3, Name: "testWorker", Timeout: 5 * time.Second}, log, damrey.WithConn(nc)),
	}
}

// Run answers every message, sends one of its own when ten seconds were quiet,
// and returns after Stop.
func (t *testWorker) Run() {
	go t.wk.Run()
	for {
		select {
		case <-t.ch:
			t.wk.Stop()
			t.ch <- struct{}{}
			return
		case msg := <-t.wk.RecvChannel():
			msg.Rch <- t.process(msg.Msg)
		case <-time.After(10 * time.Second):
			t.wk.SendChannel() <- &damrey.Message{
				Msg: []string{damrey.REQUEST, "test"},
			}
		}
	}
}

// Stop ends Run and returns when the worker has stopped.
func (t *testWorker) Stop() {
	t.ch <- struct{}{}
	<-t.ch
	close(t.ch)
}

func (t *testWorker) process(msg []string) []string {
	return []string{damrey.ERROR, "don't accept any message"}
}
