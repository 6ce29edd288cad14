//go:build unix

package main

import (
	"os/exec"
	"testing"

	"github.com/nats-io/nats.go"
)

func TestReplyPrefix_HoldsForServiceDiscovery(t *testing.T) {
	t.Parallel()
	dev := exec.Command("damrey", "dev", "-p", "0", "--nats-port", "0", "--leaf-port", "0", "--reply-prefix", "mine.")
	nc, err := nats.Connect(readReady(t, dev)["nats"], nats.CustomInboxPrefix("mine"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Request("$SRV.PING.damrey-proxy", nil, bound); err != nil {
		t.Error(err)
	}
}
