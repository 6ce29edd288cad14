package proxyd_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/report"
	"github.com/damrey/damrey/proxyd"
)

// Whatever proxy is started beside instances that run, two beats later it shows them and what goes along their routes.
func TestNetwork_IsWholeTwoBeatsAfterTheProxyRestarted(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxyd.Config{})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 5)
	t.Cleanup(func() {
		cancel()
		for range cap(ended) {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
	serve := func(name string) *damrey.Instance {
		w := damrey.New(damrey.Config{Name: name}, zerolog.Nop(), damrey.WithConnect(damrey.ConnectConfig{URL: r.srv.ClientURL()}))
		w.Handle("*", func(context.Context, damrey.Msg) (damrey.Msg, error) { return damrey.Reply("1"), nil })
		go func() { ended <- w.Serve(ctx) }()
		return w
	}
	r.must(201, "PUT", "/v1/workers/entry", `{"name":"entry","commands":[{"name":"add","worker":"add"},{"name":"mail","worker":"mail"}]}`)
	r.must(201, "PUT", "/v1/workers/add", `{"name":"add","commands":[]}`)
	r.must(201, "PUT", "/v1/workers/mail", `{"name":"mail","commands":[]}`)
	entry := serve("entry")
	for _, w := range []*damrey.Instance{entry, serve("add"), serve("add"), serve("mail")} {
		await(t, w.Ready())
	}
	go func() { // traffic all the time
		var err error
		for tick := time.NewTicker(20 * time.Millisecond); ctx.Err() == nil && err == nil; {
			for _, typ := range []string{"add", "mail"} {
				if _, err = entry.Request(ctx, typ); err != nil {
					break
				}
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				tick.Stop()
			}
		}
		if ctx.Err() != nil {
			err = nil
		}
		ended <- err
	}()
	missing := func(r *rig) string {
		n := r.network()
		for worker, ready := range map[string]int{"entry": 1, "add": 2, "mail": 1} {
			if got := nodeOf(n, worker).Ready; got != ready {
				return fmt.Sprintf("%d of %d instances of %s", got, ready, worker)
			}
			if e := edgeOf(n, "entry", worker, worker); worker != "entry" && (e.Rate < 10 || e.P99 == 0 || !e.Declared) {
				return fmt.Sprintf("%+v", e)
			}
		}
		return ""
	}
	whole := func(r *rig, within time.Duration) {
		t.Helper()
		for end := time.Now().Add(within); ; <-time.After(20 * time.Millisecond) {
			what := missing(r)
			if what == "" {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("after %v: %s", within, what)
			}
		}
	}
	whole(r, 20*time.Second)
	r.stop()
	again := startProxy(t, r.srv, proxyd.Config{})
	await(t, again.proxy.Ready())
	whole(again, 2*report.Every+2*report.Every/5+4*time.Second) // with their jitter; the network is made every two seconds
}
