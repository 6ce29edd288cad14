//go:build linux

package faults

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// freePort finds a port below those that the system gives to outgoing
// connections, so that a process which is started again finds it free again.
func freePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 20_000 + rand.IntN(12_000)
		ln, err := net.Listen("tcp", local(port))
		if err == nil {
			ln.Close()
			return port
		}
	}
	t.Fatal("no free port between 20000 and 32000")
	return 0
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
