package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/broker"
)

// connectNow connects within a time or says what is in the way, where damrey.Connect would wait. Once it is there, the
// connection reconnects for ever. hint is what to look at when nothing answers there.
func connectNow(c damrey.ConnectConfig, within time.Duration, hint string) (*nats.Conn, error) {
	c.Options = append(c.Options, nats.RetryOnFailedConnect(false), nats.Timeout(within))
	nc, err := damrey.Connect(c)
	switch {
	case err == nil:
		return nc, nil
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired):
		return nil, fmt.Errorf("%w; log in with --creds, --user and --password, --nkey or --token", err)
	case errors.Is(err, nats.ErrNoServers), errors.Is(err, nats.ErrTimeout):
		return nil, fmt.Errorf("%w; %s", err, hint)
	}
	return nil, err
}

// connectPatiently waits for a server that nothing answers at yet, and says so. What waiting does not mend is an error at
// once, such as a login that is refused.
func connectPatiently(ctx context.Context, c damrey.ConnectConfig, hint string) (nc *nats.Conn, err error) {
	err = patiently(ctx, c.Log, "NATS is not reachable; waiting for it", isAway, func() (err error) {
		nc, err = connectNow(c, setupTime, hint)
		return err
	})
	return nc, err
}

// checkPatiently waits for a cluster that has no majority yet, and says so. What else is missing is an error at once.
func checkPatiently(ctx context.Context, nc *nats.Conn, log zerolog.Logger) (features broker.Features, err error) {
	passes := func(err error) bool {
		return errors.Is(err, broker.ErrMajority) || errors.Is(err, broker.ErrNotRunning)
	}
	err = patiently(ctx, log, "NATS cannot store anything yet; waiting for it", passes, func() (err error) {
		features, err = broker.Check(ctx, nc)
		return err
	})
	return features, err
}

// patiently tries something again and again while its error is one that passes, which it says once.
func patiently(ctx context.Context, log zerolog.Logger, waiting string, passes func(error) bool, try func() error) error {
	for said := false; ; said = true {
		err := try()
		if err == nil || !passes(err) {
			return err
		}
		if !said {
			log.Warn().Err(err).Msg(waiting)
		}
		if !waitUntil(ctx, time.Now().Add(connectAgain)) {
			return errEnds
		}
	}
}

// isAway says that there is no server yet: nothing answers, it has no name, or what listens there ends the connection.
func isAway(err error) bool {
	_, dialing := errors.AsType[*net.OpError](err)
	_, looking := errors.AsType[*net.DNSError](err)
	return dialing || looking || errors.Is(err, nats.ErrNoServers) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, io.EOF)
}

// connectAgain is the pause before another try.
const connectAgain = time.Second
