package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"

	"github.com/damrey/damrey"
)

// sharedBuffer may be written to while it is read.
type sharedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *sharedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *sharedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func TestConnectPatiently_WaitsAndSaysSo(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	var log sharedBuffer
	c := damrey.ConnectConfig{URL: "nats://" + ln.Addr().String(), Log: zerolog.New(&log)}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	connected := make(chan error, 1)
	go func() {
		nc, err := connectPatiently(t.Context(), c, "is it running?")
		if err == nil {
			nc.Close()
		}
		connected <- err
	}()
	for end := time.Now().Add(time.Minute); !strings.Contains(log.String(), "waiting for it"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not say that it waits")
		}
	}
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	defer srv.Shutdown()
	if err := <-connected; err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "waiting for it"); n != 1 {
		t.Errorf("it said so %d times: %s", n, log.String())
	}
}

func TestConnectPatiently_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	for _, url := range []string{"nats://127.0.0.1:1", "nats://nobody.invalid:4222"} {
		if _, err := connectPatiently(ctx, damrey.ConnectConfig{URL: url}, "is it running?"); !errors.Is(err, errEnds) {
			t.Errorf("%s: %v", url, err)
		}
	}
	if _, err := connectPatiently(t.Context(), damrey.ConnectConfig{URL: "nats://127.0.0.1:1", Creds: "no such file"}, "is it running?"); err == nil || errors.Is(err, errEnds) {
		t.Errorf("what waiting does not mend: %v", err)
	}
}
