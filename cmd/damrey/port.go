package main

import (
	"fmt"
	"net"
	"strconv"
)

// port is a flag for a TCP port; 0 picks a free one.
type port int

func (p *port) String() string { return strconv.Itoa(int(*p)) }
func (p *port) Type() string   { return "port" }

func (p *port) Set(s string) error {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return fmt.Errorf("%q is no port; use 1 to 65535, or 0 for a free one", s)
	}
	*p = port(n)
	return nil
}

// forNATS is the port as nats-server has it, where 0 is its default.
func (p port) forNATS() int {
	if p == 0 {
		return -1
	}
	return int(p)
}

func (p port) address(host string) string { return net.JoinHostPort(host, p.String()) }
