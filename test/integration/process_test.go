//go:build unix

package integration

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// start runs a worker's program until the test ends and returns when it has
// printed "ready". What it writes to stderr is in the test's log if it fails.
func start(t testing.TB, env []string, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Dir = env, dir
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	logged, err := os.CreateTemp(t.TempDir(), "stderr")
	must(t, err)
	cmd.Stderr = logged
	must(t, cmd.Start())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if lines.Text() == "ready" {
				close(ready)
				break
			}
		}
		_, err := io.Copy(io.Discard, stdout)
		ended <- errors.Join(err, cmd.Wait())
	}()
	t.Cleanup(func() { end(t, cmd, ended, logged) })
	select {
	case <-ready:
	case err := <-ended:
		ended <- err
		t.Fatalf("%s ended before it was ready: %v", name, err)
	case <-time.After(patience):
		t.Fatalf("%s was not ready within %v", name, patience)
	}
}

// end asks the process to end, and reports what it said when the test failed.
func end(t testing.TB, cmd *exec.Cmd, ended chan error, logged *os.File) {
	// An error means that it has ended already.
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(patience):
		t.Errorf("%s did not end within %v of SIGTERM", cmd.Path, patience)
		_ = cmd.Process.Kill()
		<-ended
	}
	if t.Failed() {
		said, err := os.ReadFile(logged.Name())
		t.Logf("%s said (%v):\n%s", cmd, err, said)
	}
	_ = logged.Close()
}
