//go:build unix

package cluster

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait; none of the tests depends on how much of it is used.
const patience = 90 * time.Second

// process is a `damrey` that was started.
type process struct {
	t     *testing.T
	name  string
	cmd   *exec.Cmd
	out   output // both of its outputs
	ended chan error
}

// output is written by a process while a test reads it.
type output struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func run(t *testing.T, name string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, cmd: exec.Command(damreyProgram, args...), ended: make(chan error, 1)}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.Env = append(p.cmd.Environ(), "DAMREY_LOG_FORMAT=text")
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(p.kill)
	return p
}

// kill is kill -9. It returns when the process is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // an error means that it has ended
	p.wait()
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// stop ends it as Ctrl-C does.
func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGINT)
	if err := p.wait(); err != nil {
		p.t.Errorf("%s: %v\n%s", p.name, err, p.out.String())
	}
}

func (p *process) wait() error {
	p.t.Helper()
	select {
	case err := <-p.ended:
		p.ended <- err // for whoever asks next
		return err
	case <-time.After(patience):
		p.t.Fatalf("%s does not end:\n%s", p.name, p.out.String())
	}
	return nil
}

// awaitText waits until the process has written this.
func (p *process) awaitText(text string) {
	p.t.Helper()
	eventually(p.t, p.name+" writes "+text, func() bool {
		if strings.Contains(p.out.String(), text) {
			return true
		}
		select {
		case err := <-p.ended:
			p.ended <- err
			p.t.Fatalf("%s ended before it wrote %q: %v\n%s", p.name, text, err, p.out.String())
		default:
		}
		return false
	}, &p.out)
}

func (p *process) awaitReady() { p.t.Helper(); p.awaitText("\nready\n") }

// eventually polls until ok. More is written when it does not come.
func eventually(t *testing.T, what string, ok func() bool, more ...*output) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			for _, m := range more {
				t.Log(m)
			}
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// ends runs a damrey that must end with an exit code by itself, and returns what it wrote.
func ends(t *testing.T, code int, args ...string) string {
	t.Helper()
	p := run(t, "damrey "+args[0], args...)
	err := p.wait()
	ended := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		ended = exit.ExitCode()
	}
	if ended != code {
		t.Fatalf("ended with %v, not with code %d:\n%s", err, code, p.out.String())
	}
	return p.out.String()
}
