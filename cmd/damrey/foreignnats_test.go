package main

import (
	"bufio"
	"fmt"
	"net"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rogpeppe/go-internal/testscript"
)

// plainNATS runs a NATS server without JetStream, and puts its URL into a variable: plainnats VARIABLE
func plainNATS(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: plainnats VARIABLE")
	}
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true})
	ts.Check(err)
	srv.Start()
	ts.Defer(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(bound) {
		ts.Fatalf("the plain NATS server is not ready")
	}
	ts.Setenv(args[0], srv.ClientURL())
}

// oldNATS listens as a NATS server of an older version does, as far as a client has logged in: oldnats VARIABLE VERSION
func oldNATS(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: oldnats VARIABLE VERSION")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return // closed at the end of the script
			}
			go answerPings(conn, args[1])
		}
	}()
	ts.Setenv(args[0], "nats://"+ln.Addr().String())
}

// answerPings speaks NATS until the client is gone.
func answerPings(conn net.Conn, version string) {
	defer conn.Close()
	fmt.Fprintf(conn, "INFO {\"server_id\":\"OLD\",\"version\":%q,\"proto\":1,\"headers\":true,\"max_payload\":1048576}\r\n", version)
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "PING") {
			fmt.Fprint(conn, "PONG\r\n")
		}
	}
}
