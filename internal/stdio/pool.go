package stdio

import (
	"context"
	"fmt"
	"os/exec"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/damrey/damrey"
)

// Config says which program, and how often it runs.
type Config struct {
	// Argv is the program and its arguments. Required.
	Argv []string
	// Procs is how many processes of it run, each with one message at a time. Default 1.
	Procs int
	// DrainTime is how long a process may take to end when it is asked to, before it is killed. Default 10 s.
	DrainTime time.Duration
	// Log takes what the program writes to stderr, and its ends and starts. The zero value is silent.
	Log zerolog.Logger
}

const defaultDrain = 10 * time.Second

func (c Config) withDefaults() Config {
	if c.Procs == 0 {
		c.Procs = 1
	}
	if c.DrainTime == 0 {
		c.DrainTime = defaultDrain
	}
	return c
}

func (c Config) validate() error {
	switch {
	case len(c.Argv) == 0 || c.Argv[0] == "":
		return fmt.Errorf("%w: none is named", ErrNotStarted)
	case c.Procs < 0:
		return fmt.Errorf("%d processes; use 1 or more", c.Procs)
	case c.DrainTime < 0:
		return fmt.Errorf("a drain time of %v; use more than 0", c.DrainTime)
	}
	if _, err := exec.LookPath(c.Argv[0]); err != nil {
		return fmt.Errorf("%w: %w", ErrNotStarted, err)
	}
	return nil
}

// Pool is a number of processes of one program that share the messages given to [Pool.Do].
type Pool struct {
	cfg   Config
	jobs  chan *job
	ready chan struct{}
	ended chan struct{}

	mu      sync.Mutex // guards running
	running map[*process]struct{}
}

// New makes a pool; nothing runs before Run. The error says why the program cannot be run.
func New(cfg Config) (*Pool, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Pool{
		cfg: cfg, jobs: make(chan *job), ready: make(chan struct{}), ended: make(chan struct{}),
		running: make(map[*process]struct{}),
	}, nil
}

// Ready is closed when the program was started for the first time.
func (p *Pool) Ready() <-chan struct{} { return p.ready }

// Run keeps the processes running until ctx ends, and returns nil when all are gone. It returns an error when the first
// process cannot be started; later ones are tried again, with pauses. Once only.
func (p *Pool) Run(ctx context.Context) error {
	defer close(p.ended)
	first, err := p.start()
	if err != nil {
		return err
	}
	close(p.ready)
	var group sync.WaitGroup
	for i := range p.cfg.Procs {
		s := &slot{pool: p}
		if i == 0 {
			s.process = first
		}
		group.Go(func() { s.run(ctx) })
	}
	group.Wait()
	return nil
}

// Do gives a message to the next process that is free and returns its answer, nil for an empty line. It is a
// [damrey.HandlerFunc]. When ctx ends while a process has the message, that process is started anew.
func (p *Pool) Do(ctx context.Context, msg damrey.Msg) (damrey.Msg, error) {
	text, err := question(msg)
	if err != nil {
		return nil, err
	}
	j := &job{ctx: ctx, text: text, done: make(chan result, 1)}
	select {
	case p.jobs <- j:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-p.ended:
		return nil, ErrStopped
	}
	select {
	case r := <-j.done:
		return r.msg, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-p.ended:
		return nil, ErrStopped
	}
}

// Kill ends all processes at once, for a caller that is about to end without waiting.
func (p *Pool) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for proc := range p.running {
		kill(proc.cmd)
	}
}

// start runs the program once more. The caller gives the process back with end.
func (p *Pool) start() (*process, error) {
	proc, err := start(p.cfg.Argv, p.cfg.Log)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.running[proc] = struct{}{}
	p.mu.Unlock()
	return proc, nil
}

func (p *Pool) end(proc *process, grace time.Duration) { p.endBy(proc, func() { proc.stop(grace) }) }

func (p *Pool) endBy(proc *process, stop func()) {
	stop()
	p.mu.Lock()
	delete(p.running, proc)
	p.mu.Unlock()
}
