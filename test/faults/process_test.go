//go:build linux

package faults

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/damrey/damrey/test/faults/tell"
)

// process is a program under test, which may be killed and started again with
// the same arguments.
type process struct {
	t      testing.TB
	name   string
	argv   []string
	log    string // file of all its stderr
	cmd    *exec.Cmd
	ready  chan struct{} // closed when it printed "ready"
	ended  chan struct{} // closed when it is gone
	killed bool
	told   chan tell.Statistics

	// tells is whether it is a program of the suite, which knows SIGUSR1.
	tells      bool
	goroutines func() int
}

// newProcess prepares a program of bin. At the end of the test it has to end
// by SIGTERM, without a panic in its log.
func (s *site) newProcess(name, program string, args ...string) *process {
	p := &process{
		t: s.t, name: name, argv: append([]string{filepath.Join(bin, program)}, args...),
		log: filepath.Join(s.t.TempDir(), name+".log"), tells: program != "damrey",
	}
	p.goroutines = func() int { return p.stats().Goroutines }
	s.processes = append(s.processes, p)
	s.t.Cleanup(p.finish)
	return p
}

// start runs it and returns when it is ready.
func (p *process) start() *process {
	p.t.Helper()
	p.launch()
	p.awaitReady()
	return p
}

// launch runs it and does not wait.
func (p *process) launch() {
	p.t.Helper()
	p.cmd = exec.Command(p.argv[0], p.argv[1:]...)
	p.cmd.Env = environment(filepath.Dir(p.log))
	// When the test is aborted, nothing stays behind.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdout, err := p.cmd.StdoutPipe()
	must(p.t, err)
	stderr, err := os.OpenFile(p.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	must(p.t, err)
	p.cmd.Stderr = stderr
	p.ready, p.ended, p.told, p.killed = make(chan struct{}), make(chan struct{}), make(chan tell.Statistics, 1), false
	must(p.t, p.cmd.Start())
	go p.read(p.cmd, stdout, stderr, p.ready, p.ended)
}

// environment is ours without what points at another fabric.
func environment(dir string) []string {
	env := []string{"XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}
	for _, one := range os.Environ() {
		if !strings.HasPrefix(one, "NATS_") && !strings.HasPrefix(one, "DAMREY_") && !strings.HasPrefix(one, "XDG_") {
			env = append(env, one)
		}
	}
	return env
}

func (p *process) read(cmd *exec.Cmd, stdout io.Reader, stderr io.Closer, ready, ended chan struct{}) {
	defer close(ended)
	defer stderr.Close()
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		var s tell.Statistics
		switch {
		case lines.Text() == "ready":
			close(ready)
		case json.Unmarshal(lines.Bytes(), &s) == nil:
			p.told <- s
		}
	}
	_ = cmd.Wait() // finish looks at how it ended
}

func (p *process) awaitReady() {
	p.t.Helper()
	select {
	case <-p.ready:
	case <-p.ended:
		p.t.Fatalf("%s ended before it was ready: %v\n%s", p.name, p.cmd.ProcessState, p.tail())
	case <-time.After(patience):
		p.t.Fatalf("%s was not ready within %v\n%s", p.name, patience, p.tail())
	}
}

// kill is kill -9.
func (p *process) kill() {
	p.t.Helper()
	p.killed = true
	must(p.t, p.cmd.Process.Kill())
	<-p.ended
}

// terminate asks it to end, and waits.
func (p *process) terminate() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	await(p.t, p.name+" ends", p.ended)
}

func (p *process) freeze() { p.t.Helper(); p.signal(syscall.SIGSTOP) }
func (p *process) thaw()   { p.t.Helper(); p.signal(syscall.SIGCONT) }

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("%s: %v: %v\n%s", p.name, s, err, p.tail())
	}
}

// stats asks a faultworker.
func (p *process) stats() tell.Statistics {
	p.t.Helper()
	p.signal(syscall.SIGUSR1)
	select {
	case s := <-p.told:
		return s
	case <-p.ended:
		p.t.Fatalf("%s ended: %v\n%s", p.name, p.cmd.ProcessState, p.tail())
	case <-time.After(patience):
		p.t.Fatalf("%s told no statistics within %v", p.name, patience)
	}
	return tell.Statistics{}
}

// files counts its open file descriptors: connections that are not given back
// show here.
func (p *process) files() int {
	p.t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	must(p.t, err)
	return len(list)
}

// finish ends it at the end of the test.
func (p *process) finish() {
	if p.cmd == nil || p.cmd.Process == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGCONT) // it may be frozen, or gone
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Errorf("%s did not end within %v of SIGTERM", p.name, patience)
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	if !p.killed && !p.cmd.ProcessState.Success() {
		p.t.Errorf("%s ended with %v", p.name, p.cmd.ProcessState)
	}
	said, err := os.ReadFile(p.log)
	must(p.t, err)
	for _, bad := range []string{"panic: ", "fatal error: ", "DATA RACE"} {
		if bytes.Contains(said, []byte(bad)) {
			p.t.Errorf("%s wrote %q", p.name, bad)
		}
	}
	if p.t.Failed() {
		p.t.Logf("%s said:\n%s", p.name, p.tail())
	}
}

// said tells whether its log has a text.
func (p *process) said(text string) bool {
	p.t.Helper()
	log, err := os.ReadFile(p.log)
	must(p.t, err)
	return bytes.Contains(log, []byte(text))
}

// tail is the end of its log.
func (p *process) tail() string {
	log, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}

// limit sets how much of a resource the process may use from now on, and
// returns what takes that back.
func (p *process) limit(resource int, most uint64) (restore func()) {
	p.t.Helper()
	var before syscall.Rlimit
	p.rlimit(resource, nil, &before)
	p.rlimit(resource, &syscall.Rlimit{Cur: most, Max: before.Max}, nil)
	return func() { p.t.Helper(); p.rlimit(resource, &before, nil) }
}

func (p *process) rlimit(resource int, set, was *syscall.Rlimit) {
	p.t.Helper()
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(p.cmd.Process.Pid), uintptr(resource),
		uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(was)), 0, 0)
	if errno != 0 {
		p.t.Fatalf("limit %s: %v", p.name, errno)
	}
}
