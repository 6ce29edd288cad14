package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

// demoTable is the fabric of `damrey dev --demo`:  shop ─order─► order ─check─► fraud ─pay─► bank
//
//	└─mail═► mail   durable
var demoTable = []damrey.Registration{
	{Name: "bank"},
	{Name: "fraud", Commands: []damrey.Command{{Name: "pay", Worker: "bank"}}},
	{Name: "mail"},
	{Name: "order", Commands: []damrey.Command{
		{Name: "check", Worker: "fraud"},
		{Name: "mail", Worker: "mail", Delivery: damrey.Durable, Attempts: 2, Backoff: damrey.Duration(500 * time.Millisecond)},
	}},
	{Name: "shop", Commands: []damrey.Command{{Name: "order", Worker: "order"}}},
}

// demoFlags are those of `damrey dev` that are about the demo.
type demoFlags struct {
	on    bool
	again time.Duration
}

func (d *demoFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&d.on, "demo", false, "run a small fabric with traffic too, to look at")
	flags.DurationVar(&d.again, "demo-restart", time.Minute, "how long a killed worker of the demo stays away")
	inRange(flags, "demo-restart", "100ms to 1h")
	cmd.MarkFlagsMutuallyExclusive("demo", "data")
}

func (d *demoFlags) check() error {
	if d.again < 100*time.Millisecond || d.again > time.Hour {
		return usageError("--demo-restart %v is out of range; use 100ms to 1h", d.again)
	}
	return nil
}

// demoEnd is how long a worker may take to end.
const demoEnd = 5 * time.Second

// demoCrew runs the workers of the demo, each in a process of its own that can be killed. A new one takes its place after
// a while, long enough to see the alarm.
type demoCrew struct {
	program string
	args    []string // what comes before the name
	again   time.Duration
	log     zerolog.Logger
	ready   chan struct{} // closed when all have been ready once
	first   sync.WaitGroup

	mu   sync.Mutex // guards pids
	pids map[string]int
}

func newDemoCrew(log zerolog.Logger, again time.Duration, args ...string) (*demoCrew, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("--demo: %w", err)
	}
	c := &demoCrew{program: program, args: args, again: again, log: log, ready: make(chan struct{}), pids: make(map[string]int)}
	c.first.Add(len(demoTable))
	return c, nil
}

// register puts the table through REST, as anybody would.
func (c *demoCrew) register(ctx context.Context, proxy string) error {
	client, err := api.New(proxy)
	if err != nil {
		return err
	}
	defer client.Close()
	for _, reg := range demoTable {
		if _, err := client.Put(ctx, reg, ""); err != nil {
			return fmt.Errorf("register %s: %w", reg.Name, err)
		}
	}
	return nil
}

// run keeps all workers until ctx ends. One that never comes up ends it.
func (c *demoCrew) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { c.first.Wait(); close(c.ready) }()
	failed := make([]error, len(demoTable))
	var all sync.WaitGroup
	for i, reg := range demoTable {
		all.Go(func() {
			if failed[i] = c.keep(ctx, reg.Name); failed[i] != nil {
				cancel()
			}
		})
	}
	all.Wait()
	return errors.Join(failed...)
}

// keep runs one worker after another under a name.
func (c *demoCrew) keep(ctx context.Context, name string) error {
	cameUp := sync.OnceFunc(c.first.Done)
	defer cameUp()
	for up := false; ; {
		ended := c.once(ctx, name, func(pid int) {
			c.set(name, pid)
			if up {
				c.log.Info().Str("worker", name).Int("pid", pid).Msg("the worker is there again")
			}
			up = true
			cameUp()
		})
		if ctx.Err() != nil {
			return nil
		}
		if !up {
			return fmt.Errorf("the demo's worker %s did not come up: %w", name, ended)
		}
		c.log.Warn().Str("worker", name).AnErr("ended", ended).Stringer("again_in", c.again).Msg("the worker has ended; a new one is started by and by")
		if !waitUntil(ctx, time.Now().Add(c.again)) {
			return nil
		}
	}
}

// once runs one process until it ends, or ctx does.
func (c *demoCrew) once(ctx context.Context, name string, cameUp func(pid int)) error {
	cmd := exec.Command(c.program, append([]string{"demo-worker", name}, c.args...)...)
	cmd.Stderr = struct{ io.Writer }{c.log} // by a pipe, as lines of this log
	stdin, err := cmd.StdinPipe()           // its end tells the process that this one has ended
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	gone := make(chan struct{})
	defer close(gone)
	go func() {
		select {
		case <-ctx.Done():
		case <-gone:
			return
		}
		stdin.Close()
		late := time.NewTimer(demoEnd)
		defer late.Stop()
		select {
		case <-late.C:
			_ = cmd.Process.Kill() // fails only when it has ended
		case <-gone:
		}
	}()
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if lines.Text() == "ready" {
			cameUp(cmd.Process.Pid)
		}
	}
	return cmd.Wait()
}

func (c *demoCrew) set(name string, pid int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pids[name] = pid
}

func (c *demoCrew) pid(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pids[name]
}

// startDemo registers and starts the workers, and prints what to try.
func (a *app) startDemo(ctx context.Context, g *group, f fabric, prefix string, again time.Duration) error {
	crew, err := newDemoCrew(a.log, again, "--nats", f.nats[0], "--prefix", prefix, "--log-level", "error", "--log-format", "json")
	if err != nil {
		return err
	}
	if err := crew.register(ctx, f.rest); err != nil {
		return err
	}
	if err := g.start("demo", crew.run, crew.ready); err != nil {
		return err
	}
	a.printDemo(f, crew)
	return nil
}

func (a *app) printDemo(f fabric, crew *demoCrew) {
	proxy := strings.TrimPrefix(f.rest, "http://")
	fmt.Fprintln(a.stdout, `
shop ─order─► order ─check─► fraud ─pay─► bank      four orders a second
                └──mail═══► mail                    durable`)
	for _, reg := range demoTable {
		fmt.Fprintf(a.stdout, "pid-%s %d\n", reg.Name, crew.pid(reg.Name))
	}
	fmt.Fprintf(a.stdout, `
open %s/

try, in another terminal:
  kill -9 %d
      bank is gone: it turns red, and its alarm fires; it comes back after %v, and the alarm is resolved
  damrey top routes --sort p99 --proxy %s
  damrey trace shop order 7 120 --nats %s
      which hop of the line is the slow one?
  damrey tap shop --args --nats %s
      orders as they are handled; damrey dead ls --proxy %s has the mails that failed

`, f.rest, crew.pid("bank"), crew.again, proxy, f.nats[0], f.nats[0], proxy)
}
