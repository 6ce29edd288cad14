//go:build unix

package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startHanging runs a worker whose program has a message in hand and does not let go of it, and gives the program's
// process id.
func startHanging(t *testing.T) (worker *exec.Cmd, program int) {
	t.Helper()
	dev := exec.Command("damrey", "dev", "-p", "0", "--nats-port", "0", "--leaf-port", "0")
	addresses := readReady(t, dev)
	for _, args := range []string{"worker add entry --command hang=slow", "worker add slow"} {
		add := exec.Command("damrey", append(strings.Fields(args), "--proxy", addresses["rest"])...)
		if out, err := add.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	worker = exec.Command("damrey", "worker", "run", "slow", "--nats", addresses["nats"], "--timeout", "1h", "--drain", "1h", "--", "stubborn")
	logs, err := worker.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	readReady(t, worker)
	asking := exec.Command("damrey", "request", "entry", "hang", "--nats", addresses["nats"], "--timeout", "1h")
	if err := asking.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = asking.Process.Kill(); _ = asking.Wait() })
	return worker, readPID(t, logs)
}

// readReady starts a daemon that is killed at the end of the test, and gives what it prints before it is ready.
func readReady(t *testing.T, cmd *exec.Cmd) map[string]string {
	t.Helper()
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir()) // killed, it leaves things behind
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }) // errors mean that it is gone
	values := readUntilReady(stdout)
	if values == nil {
		t.Fatalf("%v ended before it was ready", cmd.Args)
	}
	return values
}

// readPID waits for the program to tell that it has the message, and reads on so that the log does not block.
func readPID(t *testing.T, logs io.Reader) int {
	t.Helper()
	lines := bufio.NewScanner(logs)
	for lines.Scan() {
		if _, rest, ok := strings.Cut(lines.Text(), "in hand of "); ok {
			pid, err := strconv.Atoi(rest[:strings.IndexByte(rest, '"')])
			if err != nil {
				t.Fatal(err)
			}
			go func() { _, _ = io.Copy(io.Discard, logs) }()
			return pid
		}
	}
	t.Fatal("the program never got the message")
	return 0
}

func TestSignals_SecondEndsAtOnceAndTakesTheProgramAlong(t *testing.T) {
	t.Parallel()
	worker, program := startHanging(t)
	ended := make(chan error, 1)
	if err := worker.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	go func() { ended <- worker.Wait() }()
	// Two signals on their way at once may arrive as one, so the second is repeated.
	for deadline := time.After(bound); ; {
		select {
		case err := <-ended:
			exit, ok := errors.AsType[*exec.ExitError](err)
			if !ok || exit.ExitCode() != exitForced {
				t.Errorf("it ended with %v, want %d", err, exitForced)
			}
			awaitGone(t, program)
			return
		case <-time.After(50 * time.Millisecond):
			_ = worker.Process.Signal(syscall.SIGINT) // an error means that it has just ended
		case <-deadline:
			t.Fatal("it does not end")
		}
	}
}

// awaitGone polls until a process is gone, or only waits for its parent to notice.
func awaitGone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(bound); ; time.Sleep(10 * time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || err == nil && bytes.Contains(stat, []byte(") Z ")) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d lives on", pid)
		}
	}
}
