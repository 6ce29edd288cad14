//go:build unix

package main

import (
	"encoding/json"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// startDemo runs `damrey dev --demo`, and gives its addresses and the pids of its workers.
func startDemo(t *testing.T) (dev *exec.Cmd, values map[string]string, pids map[string]int) {
	t.Helper()
	dev = exec.Command("damrey", "dev", "--demo", "--demo-restart", "200ms", "-p", "0", "--nats-port", "0", "--leaf-port", "0")
	printed := readReady(t, dev)
	values, pids = printed, make(map[string]int)
	for _, reg := range demoTable {
		pid, err := strconv.Atoi(printed["pid-"+reg.Name])
		if err != nil {
			t.Fatalf("no pid of %s in %v", reg.Name, printed)
		}
		pids[reg.Name] = pid
	}
	return dev, values, pids
}

// handledBy polls until an instance of a worker that another process than not runs has handled messages.
func handledBy(t *testing.T, nc *nats.Conn, worker string, not int) {
	t.Helper()
	for deadline := time.Now().Add(bound); ; time.Sleep(20 * time.Millisecond) {
		var s micro.Stats
		m, err := nc.Request("$SRV.STATS."+worker, nil, time.Second)
		if err == nil && json.Unmarshal(m.Data, &s) == nil && s.Metadata["pid"] != strconv.Itoa(not) && len(s.Endpoints) > 0 && s.Endpoints[0].NumRequests > 2 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not handle anything: %v %+v", worker, err, s)
		}
	}
}

func TestDemo_FlowsAndAKilledWorkerComesBack(t *testing.T) {
	t.Parallel()
	dev, values, pids := startDemo(t)
	nc := connectTo(t, values["nats"])
	for _, worker := range []string{"order", "fraud", "bank", "mail"} {
		handledBy(t, nc, worker, 0)
	}
	if err := syscall.Kill(pids["bank"], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, pids["bank"])
	handledBy(t, nc, "bank", pids["bank"])
	if err := dev.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- dev.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(bound):
		t.Fatal("it does not end")
	}
	for _, pid := range pids {
		awaitGone(t, pid)
	}
}

func TestDemo_LeavesNoOrphansWhenItIsKilled(t *testing.T) {
	t.Parallel()
	dev, _, pids := startDemo(t)
	if err := dev.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		awaitGone(t, pid)
	}
}
