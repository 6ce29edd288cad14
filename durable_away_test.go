package damrey_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/damrey/damrey"
	"github.com/nats-io/nats-server/v2/server"
)

// A broker that stores nothing, any more or at all, is said within the sender's time.
func TestDurable_WithoutJetStreamIsSaid(t *testing.T) {
	t.Parallel()
	f := newFabric(t)
	f.register("src", durably("x", "w"))
	f.jobs("w")
	src := f.serve(f.instance(damrey.Config{Name: "src"}))
	must(t, src.Send(f.context(), "x"))
	must(t, f.srv.DisableJetStream())
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := src.Send(ctx, "x"); !errors.Is(err, damrey.ErrNotStored) || !strings.Contains(err.Error(), "src→x→w") {
		t.Errorf("sent without JetStream: %v", err)
	}
	// Send may end with its context, a moment before the attempts do and say why.
	says := func(words string) {
		t.Helper()
		eventually(t, "it says "+words, func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := src.SendAsync(ctx, "x").Wait(f.context())
			return errors.Is(err, damrey.ErrNotStored) && strings.Contains(err.Error(), "src→x→w") && strings.Contains(err.Error(), words)
		})
	}
	says("JetStream does not answer: it was switched off")
	port := f.srv.Addr().(*net.TCPAddr).Port
	f.srv.Shutdown()
	f.srv.WaitForShutdown()
	f.start(&server.Options{ServerName: "broker", Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true})
	says("JetStream is not there or not enabled for this account; enable it on the NATS server")
}
