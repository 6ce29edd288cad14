package chaos

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// ports hands out ports below those that the system gives to outgoing connections, so that a process which is started
// again finds its own free again.
type ports struct{ given map[int]bool }

func (p *ports) free() (int, error) {
	for range 1000 {
		port := 20_000 + rand.IntN(12_000)
		if p.given[port] {
			continue
		}
		ln, err := net.Listen("tcp", ":"+strconv.Itoa(port)) // on every address, since relays take the same ports
		if err != nil {
			continue
		}
		ln.Close()
		p.given[port] = true
		return port, nil
	}
	return 0, errors.New("no free port between 20000 and 32000")
}

func at(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// The addresses of the run. All are this machine, and what is asked at one of an agent's goes through its relays.
const (
	ownHost     = "127.0.0.1"
	nobodysHost = "127.0.0.2" // told for routes, so that brokers reach one another through relays only
)

func agentHost(i int) string { return "127.0.0." + strconv.Itoa(11+i) }
