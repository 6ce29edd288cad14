//go:build linux

package faults

import (
	"testing"

	"github.com/damrey/damrey/internal/relay"
)

// newRelay listens on a free port until the end of the test.
func newRelay(t testing.TB, target string) *relay.Relay {
	t.Helper()
	r, err := relay.Listen("127.0.0.1:0", target)
	must(t, err)
	t.Cleanup(r.Close)
	return r
}
