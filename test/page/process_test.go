//go:build unix

package page

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait; what works takes a small part of it.
const patience = time.Minute

// process is a program that runs until it is ended, at the latest with its test.
type process struct {
	t       *testing.T
	cmd     *exec.Cmd
	ended   chan struct{}
	written []string // to stdout before it was ready
}

// start runs a program and returns when it has printed "ready". What it writes to stderr is in the test's log if that fails.
func start(t *testing.T, env []string, name string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(name, args...), ended: make(chan struct{})}
	p.cmd.Env, p.cmd.Dir = env, t.TempDir()
	stdout, err := p.cmd.StdoutPipe()
	must(t, err)
	logged, err := os.CreateTemp(t.TempDir(), "stderr")
	must(t, err)
	p.cmd.Stderr = logged
	must(t, p.cmd.Start())
	ready := make(chan struct{})
	go p.read(stdout, ready)
	t.Cleanup(func() {
		p.end(syscall.SIGTERM)
		if t.Failed() {
			said, err := os.ReadFile(logged.Name())
			t.Logf("%s said (%v):\n%.4000s", p.cmd, err, said)
		}
		_ = logged.Close()
	})
	select {
	case <-ready:
	case <-p.ended:
		t.Fatalf("%s ended before it was ready", p.cmd)
	case <-time.After(patience):
		t.Fatalf("%s was not ready within %v", p.cmd, patience)
	}
	return p
}

func (p *process) read(stdout io.Reader, ready chan struct{}) {
	defer close(p.ended)
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if lines.Text() == "ready" {
			close(ready)
			break
		}
		p.written = append(p.written, lines.Text())
	}
	_, _ = io.Copy(io.Discard, stdout) // until it ends
	_ = p.cmd.Wait()                   // one that is killed fails
}

// wrote gives what stands behind a word at the beginning of a line.
func (p *process) wrote(word string) string {
	p.t.Helper()
	for _, line := range p.written {
		if rest, ok := strings.CutPrefix(line, word+" "); ok {
			return rest
		}
	}
	p.t.Fatalf("%s printed no %s, but %q", p.cmd, word, p.written)
	return ""
}

func (p *process) end(how syscall.Signal) {
	_ = p.cmd.Process.Signal(how) // an error means that it has ended already
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Errorf("%s did not end within %v of %v", p.cmd, patience, how)
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// load asks one request after the other, ten milliseconds apart, until it is stopped.
type load struct {
	stopping chan struct{}
	group    sync.WaitGroup
}

func startLoad(t *testing.T, ask func()) {
	l := &load{stopping: make(chan struct{})}
	l.group.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-l.stopping:
				return
			case <-tick.C:
				ask()
			}
		}
	})
	t.Cleanup(func() {
		close(l.stopping)
		l.group.Wait()
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
