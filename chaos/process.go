package chaos

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	readyTime = 90 * time.Second // for a process to say that it is ready
	endTime   = 30 * time.Second // for one to end that was asked to
)

// process is a part of the fabric, which may be killed and started again as it was.
type process struct {
	name string
	argv []string
	env  []string
	log  string // file of all its stderr

	mu     sync.Mutex // guards what follows
	cmd    *exec.Cmd
	wanted bool // nobody has asked it to end
	ready  chan struct{}
	ended  chan struct{}
	died   []string // how it ended when nobody wanted it to
}

func newProcess(dir, name string, argv []string, env ...string) *process {
	return &process{name: name, argv: argv, env: append(environment(dir), env...), log: filepath.Join(dir, name+".log")}
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

// start runs it and waits until it is ready.
func (p *process) start(ctx context.Context) error {
	if err := p.launch(); err != nil {
		return err
	}
	return p.awaitReady(ctx)
}

// launch runs it and does not wait.
func (p *process) launch() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	cmd := exec.Command(p.argv[0], p.argv[1:]...)
	cmd.Env = p.env
	dieWithParent(cmd)
	log, err := os.OpenFile(p.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = struct{ io.Writer }{log} // by a pipe: the size of its own files may be limited
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	p.cmd, p.wanted = cmd, true
	p.ready, p.ended = make(chan struct{}), make(chan struct{})
	go p.read(cmd, stdout, log, p.ready, p.ended)
	return nil
}

func (p *process) read(cmd *exec.Cmd, stdout io.Reader, log io.Closer, ready, ended chan struct{}) {
	defer close(ended)
	defer log.Close()
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if lines.Text() == "ready" {
			close(ready)
		}
	}
	err := cmd.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wanted {
		p.died = append(p.died, fmt.Sprintf("%s ended by itself: %v; see %s", p.name, err, p.log))
	}
}

func (p *process) awaitReady(ctx context.Context) error {
	p.mu.Lock()
	ready, ended := p.ready, p.ended
	p.mu.Unlock()
	timer := time.NewTimer(readyTime)
	defer timer.Stop()
	select {
	case <-ready:
		return nil
	case <-ended:
		return fmt.Errorf("%s ended before it was ready; see %s", p.name, p.log)
	case <-timer.C:
		return fmt.Errorf("%s was not ready within %v; see %s", p.name, readyTime, p.log)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// unwant says that its end is meant, and gives what runs; nil when nothing does.
func (p *process) unwant() (*os.Process, chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return nil, nil
	}
	p.wanted = false
	return p.cmd.Process, p.ended
}

// kill is kill -9. It returns when the process is gone.
func (p *process) kill() error {
	running, ended := p.unwant()
	if running == nil {
		return nil
	}
	if err := running.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	<-ended
	return nil
}

// stop asks it to end, and kills it when it does not, which is an error.
func (p *process) stop() error {
	running, ended := p.unwant()
	if running == nil {
		return nil
	}
	if err := running.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end %s: %w", p.name, err)
	}
	timer := time.NewTimer(endTime)
	defer timer.Stop()
	select {
	case <-ended:
		return nil
	case <-timer.C:
		return errors.Join(fmt.Errorf("%s did not end within %v of SIGTERM", p.name, endTime), p.kill())
	}
}

func (p *process) freeze() error { return p.do("freeze", freezeProcess) }
func (p *process) thaw() error   { return p.do("thaw", thawProcess) }

// limit sets how large a file it may write.
func (p *process) limit(bytes uint64) error {
	return p.do("limit", func(running *os.Process) error { return limitFiles(running, bytes) })
}

func (p *process) do(what string, f func(*os.Process) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return fmt.Errorf("%s %s: it was not started", what, p.name)
	}
	if err := f(p.cmd.Process); err != nil {
		return fmt.Errorf("%s %s: %w", what, p.name, err)
	}
	return nil
}

// troubles are what must never be: it ended by itself, or wrote of a panic.
func (p *process) troubles() []string {
	p.mu.Lock()
	all := append([]string(nil), p.died...)
	p.mu.Unlock()
	file, err := os.Open(p.log)
	if err != nil {
		return all
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		for _, bad := range []string{"panic: ", "fatal error: ", "DATA RACE"} {
			if strings.Contains(lines.Text(), bad) {
				all = append(all, fmt.Sprintf("%s wrote %q; see %s", p.name, lines.Text(), p.log))
			}
		}
	}
	return all
}
