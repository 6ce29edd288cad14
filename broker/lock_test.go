package broker_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/damrey/damrey/broker"
)

// holdElsewhere runs a broker on dir in another process until kill, or until the test ends.
func holdElsewhere(t *testing.T, dir string) (pid int, url string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holdEnv+"="+dir)
	if _, err := cmd.StdinPipe(); err != nil { // open until this process ends
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	kill = func() {
		if !killed {
			killed = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "nats://") {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	return cmd.Process.Pid, strings.TrimSpace(line), kill
}

func TestBroker_TakesOverTheDirectoryOfAKilledProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pid, _, kill := holdElsewhere(t, dir)
	_, err := broker.New(broker.Config{Port: -1, LeafPort: -1, Dir: dir})
	wantError(t, err, broker.ErrDir, dir, fmt.Sprintf("pid %d", pid), "--data")

	kill() // without a chance to clean up
	startBroker(t, broker.Config{Dir: dir})
}
