package stdio

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// lastWords is how long a process may take to end by itself that has closed its standard output.
const lastWords = 200 * time.Millisecond

// leftover is how long the streams of a process that has ended are read on, where something that it left behind still
// holds them.
const leftover = time.Second

// process is one run of the program.
type process struct {
	cmd    *exec.Cmd
	log    zerolog.Logger
	began  time.Time
	stdin  *os.File
	lines  chan line     // closed at the end of stdout
	quit   chan struct{} // closed by stop: nobody takes lines any more
	exited chan struct{}
	status error // how it ended, once exited is closed
	ended  bool  // by stop and not by itself, once exited is closed
	gone   sync.WaitGroup
	once   sync.Once
}

// start runs argv in a process group of its own.
func start(argv []string, log zerolog.Logger) (*process, error) {
	p := &process{
		cmd: exec.Command(argv[0], argv[1:]...), began: time.Now(),
		lines: make(chan line), quit: make(chan struct{}), exited: make(chan struct{}),
	}
	ownGroup(p.cmd)
	pipes, err := openPipes(3)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotStarted, err)
	}
	in, out, trouble := pipes[0], pipes[1], pipes[2]
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = in.r, out.w, trouble.w
	err = p.cmd.Start()
	closeAll(in.r, out.w, trouble.w)
	if err != nil {
		closeAll(in.w, out.r, trouble.r)
		return nil, fmt.Errorf("%w: %w", ErrNotStarted, err)
	}
	p.stdin = in.w
	p.log = log.With().Int("pid", p.cmd.Process.Pid).Logger()
	p.gone.Go(func() { p.readAnswers(out.r) })
	p.gone.Go(func() { p.readTrouble(trouble.r) })
	p.gone.Go(func() { p.wait(out.r, trouble.r) })
	return p, nil
}

func (p *process) readAnswers(r *os.File) {
	defer r.Close()
	defer close(p.lines)
	readLines(r, maxLine, func(l line) bool {
		select {
		case p.lines <- l:
			return true
		case <-p.quit:
			return false
		}
	})
}

// readTrouble logs what the program writes to stderr; a very long line comes in pieces.
func (p *process) readTrouble(r *os.File) {
	defer r.Close()
	for reader := bufio.NewReaderSize(r, 64<<10); ; {
		text, _, err := reader.ReadLine()
		if err != nil { // the end, or a pipe that broke
			return
		}
		p.log.Info().Str("stream", "stderr").Msg(string(text))
	}
}

// wait notes the end of the process and ends what it has left behind in its group.
func (p *process) wait(streams ...*os.File) {
	p.status = p.cmd.Wait()
	kill(p.cmd)
	for _, s := range streams {
		_ = s.SetReadDeadline(time.Now().Add(leftover)) // where there are no deadlines, the end of the group must do
	}
	close(p.exited)
}

// write gives the program a line. It gives up when ctx ends.
func (p *process) write(ctx context.Context, text []byte) error {
	release := context.AfterFunc(ctx, func() {
		if p.stdin.SetWriteDeadline(time.Now()) != nil {
			kill(p.cmd)
		}
	})
	defer release()
	_, err := p.stdin.Write(text)
	return err
}

// stop ends the process: its input ends and it is asked to, and after grace it is killed. It returns when all of it is
// gone, and may be called twice.
func (p *process) stop(grace time.Duration) {
	p.once.Do(func() {
		close(p.quit)
		_ = p.stdin.Close()
		select {
		case <-p.exited:
			return
		default:
			p.ended = true
			terminate(p.cmd)
		}
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-p.exited:
		case <-timer.C:
			p.log.Warn().Stringer("after", grace).Msg("the program did not end and is killed")
			kill(p.cmd)
		}
	})
	p.gone.Wait()
}

// leave is stop for a process that has closed its standard output, which most do by ending.
func (p *process) leave() {
	timer := time.NewTimer(lastWords)
	defer timer.Stop()
	select {
	case <-p.exited:
	case <-timer.C:
	}
	p.stop(restartGrace)
}

// end says how the process ended, after stop or leave.
func (p *process) end() error {
	if p.ended {
		return fmt.Errorf("%w and was stopped", errClosed)
	}
	if exit, ok := errors.AsType[*exec.ExitError](p.status); ok {
		return fmt.Errorf("%w: %s", ErrEnded, exit.ProcessState)
	}
	if p.status != nil {
		return fmt.Errorf("%w: %w", ErrEnded, p.status)
	}
	return fmt.Errorf("%w by itself", ErrEnded)
}
