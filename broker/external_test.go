package broker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/damrey/damrey/broker"
)

// external runs a server as somebody else would have set it up.
func external(t *testing.T, opts server.Options) *nats.Conn {
	t.Helper()
	opts.DontListen, opts.NoSigs, opts.NoLog, opts.StoreDir = true, true, true, t.TempDir()
	srv, err := server.NewServer(&opts)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(patience) {
		t.Fatal("server is not ready")
	}
	nc, err := nats.Connect("", nats.InProcessServer(srv))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func TestCheck_TellsWhatAServerHas(t *testing.T) {
	t.Parallel()
	f, err := broker.Check(testContext(t), external(t, server.Options{JetStream: true, JetStreamDomain: "theirs", MaxPayload: 4096}))
	if want := (broker.Features{Version: server.VERSION, Domain: "theirs", MaxPayload: 4096}); err != nil || f != want {
		t.Errorf("got %+v, %v", f, err)
	}
	f, err = broker.Check(testContext(t), external(t, server.Options{JetStream: true}))
	if err != nil || f.Domain != "" {
		t.Errorf("without a domain: %+v, %v", f, err)
	}
}

func TestCheck_SeesTheBrokerThroughALeaf(t *testing.T) {
	t.Parallel()
	hub := startBroker(t, broker.Config{Domain: "damrey"})
	nc := connect(t, startLeaf(t, agentName, hub.LeafURL()))
	var f broker.Features
	eventually(t, "JetStream answers through the leaf", func() (ok bool) {
		var err error
		f, err = broker.Check(testContext(t), nc)
		return err == nil
	})
	if f.Domain != "damrey" {
		t.Errorf("got %+v", f)
	}
}

func TestCheck_SaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	_, err := broker.Check(testContext(t), external(t, server.Options{}))
	wantError(t, err, broker.ErrNoJetStream, "nats-server -js")
	_, err = broker.Check(testContext(t), external(t, server.Options{JetStream: true, NoHeaderSupport: true}))
	wantError(t, err, broker.ErrUnsupported, "headers")

	leaderless := external(t, server.Options{})
	_, err = leaderless.Subscribe("$JS.API.INFO", func(m *nats.Msg) {
		_ = m.Respond([]byte(`{"type":"io.nats.jetstream.api.v1.account_info_response","error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}`))
	})
	if err == nil {
		err = leaderless.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = broker.Check(testContext(t), leaderless)
	wantError(t, err, broker.ErrMajority, "start those that are away")
	if strings.Contains(err.Error(), "nats-server -js") {
		t.Errorf("it advises what is there: %v", err)
	}

	gone, err := nats.Connect("nats://127.0.0.1:1", nats.RetryOnFailedConnect(true), nats.ReconnectWait(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	defer gone.Close()
	_, err = broker.Check(testContext(t), gone)
	wantError(t, err, broker.ErrNotRunning, "--nats")
}
