package damrey

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

func plainNATS(t *testing.T) *nats.Conn {
	t.Helper()
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(time.Minute) {
		t.Fatal("the NATS server did not start")
	}
	nc, err := nats.Connect(srv.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// storeFor publishes until the time is up, and says what became of it.
func storeFor(t *testing.T, nc *nats.Conn, d time.Duration) error {
	t.Helper()
	l := newLink(nc, DefaultPrefix, 3, nil, newThrottledLog(zerolog.Nop()), new(counters), newOutRoutes())
	if err := l.open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	result := make(chan error, 1)
	r := &Route{From: "src", Type: "x", To: "w", Durable: true, subject: "damrey.job.w.x.src"}
	err := l.storePayload(context.Background(), r, []byte(`["REQUEST","x"]`), jobHeader{}, clock().add(d), func(err error) { result <- err })
	if err != nil {
		t.Fatal(err)
	}
	return <-result
}

// An attempt that was not answered may have been stored, whatever the later ones say.
func TestStore_SaysWhenItIsNotKnown(t *testing.T) {
	t.Parallel()
	nc := plainNATS(t)
	sub, err := nc.SubscribeSync("damrey.job.w.x.src")
	if err != nil {
		t.Fatal(err)
	}
	err = sub.AutoUnsubscribe(1) // it takes the first attempt, and answers none
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	err = storeFor(t, nc, 2*storeWait)
	said := fmt.Sprint(err)
	if !errors.Is(err, ErrNotStored) || !strings.Contains(said, "it is not known whether it is stored; no acknowledgement of ") ||
		!strings.Contains(said, "sent again it may be there twice (src→x→w)") || strings.Contains(said, "not stored") {
		t.Errorf("after one attempt that was not answered: %v", err)
	}
	fe := unstored(err, &Route{From: "src", Type: "x", To: "w"})
	if m := fe.message("x"); !strings.HasPrefix(m.Arg(0), "it is not known whether it is stored; ") || strings.Contains(m.Arg(0), "→") || m.Arg(1) != "damrey:failed" {
		t.Errorf("as an ERROR: %q", m)
	}
	err = storeFor(t, nc, storeWait)
	if !errors.Is(err, ErrNotStored) || !strings.Contains(fmt.Sprint(err), "damrey: not stored after ") {
		t.Errorf("when each attempt was refused: %v", err)
	}
}

// A broker that refuses an attempt says nothing of the one before.
func TestStore_SaysWhenItIsNotKnownAfterARefusal(t *testing.T) {
	t.Parallel()
	nc := plainNATS(t)
	asked := 0
	_, err := nc.Subscribe("damrey.job.w.x.src", func(m *nats.Msg) {
		if asked++; asked > 1 {
			_ = m.Respond([]byte(`{"error":{"code":507,"err_code":10047,"description":"no room"}}`))
		}
	})
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	err = storeFor(t, nc, 3*storeWait)
	const want = "damrey: it is not known whether it is stored; no acknowledgement of 2 attempts came: no room. It may be, and is handled then; sent again it may be there twice (src→x→w)"
	if !errors.Is(err, ErrNotStored) || err.Error() != want {
		t.Errorf("it says %v", err)
	}
}

// A broker forgets ids after two minutes. Nothing is stored again then that may be stored.
func TestStore_IsNotRepeatedWhenItsIDMayBeForgotten(t *testing.T) {
	t.Parallel()
	nc := plainNATS(t)
	var asked atomic.Int64
	_, err := nc.Subscribe("damrey.job.w.x.src", func(*nats.Msg) { asked.Add(1) }) // and does not answer
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	l := newLink(nc, DefaultPrefix, 3, nil, newThrottledLog(zerolog.Nop()), new(counters), newOutRoutes())
	if err := l.open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	result := make(chan error, 1)
	r := &Route{From: "src", Type: "x", To: "w", Durable: true, subject: "damrey.job.w.x.src"}
	err = l.storePayload(context.Background(), r, []byte(`["REQUEST","x"]`), jobHeader{}, clock().add(time.Hour), func(err error) { result <- err })
	if err != nil {
		t.Fatal(err)
	}
	l.stores.mu.Lock()
	for _, s := range l.stores.byID {
		if s.since = s.since.add(-storeKnown - time.Second); s.attempts != 1 {
			t.Errorf("%d attempts were made", s.attempts)
		}
	}
	l.stores.mu.Unlock()
	err = <-result
	if !errors.Is(err, ErrNotStored) || !strings.Contains(err.Error(), "it is not known whether it is stored") || asked.Load() != 1 {
		t.Errorf("after %d attempts: %v", asked.Load(), err)
	}
}

// A cluster without a leader says so itself, which is no missing stream.
func TestStore_SaysThatThereIsNoMajority(t *testing.T) {
	t.Parallel()
	nc := plainNATS(t)
	_, err := nc.Subscribe("$JS.API.INFO", func(m *nats.Msg) {
		_ = m.Respond([]byte(`{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}`))
	})
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := storeFor(t, nc, storeWait); !errors.Is(err, errNoLeader) {
		t.Errorf("it says %v", err)
	}
}

// The text of an ERROR has neither its kind nor its route a second time.
func TestStore_SaysItOnce(t *testing.T) {
	t.Parallel()
	r := &Route{From: "entry", Type: "pay", To: "bank"}
	for _, c := range []struct {
		err  error
		want string
	}{
		{&fabricError{ErrMalformed, "no key", r.String()}, "could not be stored: no key"},
		{fmt.Errorf("%w (%s)", ErrIDConflict, r), "could not be stored: another message was stored under this id"},
		{fmt.Errorf("%w: maximum messages exceeded (%s)", ErrFull, r), "could not be stored: maximum messages exceeded"},
	} {
		if fe := unstored(c.err, r); fe.text != c.want || fe.where != r.String() || !errors.Is(c.err, fe.kind) {
			t.Errorf("%v: %v", c.err, fe)
		}
	}
}
