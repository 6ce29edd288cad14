package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/damrey/damrey"
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
