package broker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/damrey/damrey/internal/bucket"
)

// The oldest NATS server a fabric can use.
const minMajor, minMinor = 2, 12

// checkTime bounds the question to JetStream where ctx does not.
const checkTime = 5 * time.Second

// Features is what Check found out about a server.
type Features struct {
	Version    string // of the server, such as "2.15.2"
	Domain     string // JetStream domain; empty: there is none, and agents cannot link to this server
	MaxPayload int64  // the largest message in bytes
}

// Check tells whether a server that somebody else runs can carry a fabric. The error says what is missing: ErrUnsupported
// for a server that is too old or without headers, ErrNoJetStream, ErrMajority, or ErrNotRunning for a connection that is not
// up.
func Check(ctx context.Context, nc *nats.Conn) (Features, error) {
	f := Features{Version: nc.ConnectedServerVersion(), MaxPayload: nc.MaxPayload()}
	if f.Version == "" {
		return Features{}, fmt.Errorf("%w: the connection is %v; check the address given with --nats", ErrNotRunning, nc.Status())
	}
	if err := checkVersion(f.Version); err != nil {
		return Features{}, fmt.Errorf("%w: %s: %w", ErrUnsupported, nc.ConnectedUrlRedacted(), err)
	}
	if !nc.HeadersSupported() {
		return Features{}, fmt.Errorf("%w: %s does not allow message headers: remove no_header_support from its configuration",
			ErrUnsupported, nc.ConnectedUrlRedacted())
	}
	info, err := accountInfo(ctx, nc)
	if err != nil {
		return Features{}, err
	}
	f.Domain = info.Domain
	return f, nil
}

func accountInfo(ctx context.Context, nc *nats.Conn) (*jetstream.AccountInfo, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoJetStream, err)
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	info, err := js.AccountInfo(ctx)
	if err == nil {
		return info, nil
	}
	err = fmt.Errorf("%w at %s: %w", ErrNoJetStream, nc.ConnectedUrlRedacted(), err)
	if errors.Is(err, context.Canceled) {
		return nil, err
	}
	refusal, refused := errors.AsType[*jetstream.APIError](err)
	if refused && refusal.ErrorCode == bucket.CodeNoLeader || errors.Is(err, context.DeadlineExceeded) && nc.ConnectedClusterName() != "" {
		return nil, fmt.Errorf("%w that %s is of: it elects a leader, or too few of its servers reach one another; start those that are away",
			ErrMajority, nc.ConnectedUrlRedacted())
	}
	return nil, fmt.Errorf("%w; enable it there (`nats-server -js`, or `jetstream {}` in its configuration), for this account too", err)
}

// checkVersion compares major and minor; a pre-release counts as its release.
func checkVersion(version string) error {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) < 2 {
		return fmt.Errorf("cannot read its version %q; need NATS %d.%d or newer", version, minMajor, minMinor)
	}
	major, err1 := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	if err1 != nil || err2 != nil {
		return fmt.Errorf("cannot read its version %q; need NATS %d.%d or newer", version, minMajor, minMinor)
	}
	if major < minMajor || major == minMajor && minor < minMinor {
		return fmt.Errorf("it runs NATS %s; need %d.%d or newer, for the atomic batches and per-message TTLs of durable routes: upgrade nats-server", version, minMajor, minMinor)
	}
	return nil
}
