package stdio

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/damrey/damrey"
)

// restartGrace is how long a process that has gone wrong may take to end.
const restartGrace = time.Second

// job is one message on its way through a process.
type job struct {
	ctx  context.Context // the message's; it ends with its budget
	text []byte
	done chan result // holds one, so that nobody waits for who has gone
}

type result struct {
	msg damrey.Msg
	err error
}

// slot keeps one process running and gives it one message at a time.
type slot struct {
	pool    *Pool
	process *process // started already; nil: not yet
	pending *job     // taken, but not yet given to a process
	pauses  backoff
}

// run starts a process again and again until ctx ends, and returns when the last is gone.
func (s *slot) run(ctx context.Context) {
	for s.process != nil || ctx.Err() == nil { // what was started is ended here too
		lived, why := s.once(ctx)
		if ctx.Err() != nil {
			return
		}
		pause := s.pauses.next(lived)
		s.pool.cfg.Log.Warn().Err(why).Stringer("in", pause.Round(time.Millisecond)).Msg("the program is started again")
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// once runs one process to its end, and says why that came.
func (s *slot) once(ctx context.Context) (lived time.Duration, why error) {
	p := s.process
	s.process = nil
	if p == nil {
		var err error
		if p, err = s.pool.start(); err != nil {
			return 0, err
		}
	}
	why = s.serve(ctx, p)
	if ctx.Err() != nil {
		s.pool.end(p, s.pool.cfg.DrainTime)
		return 0, nil
	}
	if errors.Is(why, errClosed) {
		s.pool.endBy(p, p.leave)
		return time.Since(p.began), p.end()
	}
	s.pool.end(p, restartGrace)
	return time.Since(p.began), why
}

// serve gives p one message after another until it has to be started anew (the error says why) or ctx ends.
func (s *slot) serve(ctx context.Context, p *process) error {
	for {
		j := s.pending
		if j == nil {
			select {
			case <-ctx.Done():
				return nil
			case l, ok := <-p.lines:
				return unasked(l, ok)
			case j = <-s.pool.jobs:
			}
		}
		s.pending = j
		select { // a line that came before the message is no answer to it
		case l, ok := <-p.lines:
			return unasked(l, ok)
		default:
		}
		s.pending = nil
		if err := s.work(ctx, p, j); err != nil || ctx.Err() != nil {
			return err
		}
	}
}

func unasked(l line, ok bool) error {
	if !ok {
		return errClosed
	}
	if l.err != nil {
		return l.err
	}
	return fmt.Errorf("%w for: %q", errUnasked, clip(l.text))
}

func clip(text []byte) []byte {
	const enough = 60
	return text[:min(len(text), enough)]
}

// work has p answer one message. The error says that p is of no use any more.
func (s *slot) work(ctx context.Context, p *process, j *job) error {
	if j.ctx.Err() != nil { // it waited too long for a process
		return nil
	}
	if err := p.write(j.ctx, j.text); err != nil {
		if j.ctx.Err() != nil {
			return errLate
		}
		return s.lost(p, j)
	}
	select {
	case l, ok := <-p.lines:
		if !ok {
			return s.lost(p, j)
		}
		return s.answered(l, j)
	case <-j.ctx.Done():
		return errLate
	case <-ctx.Done():
		j.done <- result{err: ErrStopped}
		return nil
	}
}

func (s *slot) answered(l line, j *job) error {
	if l.err != nil {
		j.done <- result{err: l.err}
		return l.err
	}
	j.done <- result{msg: answer(l.text)}
	if l.more {
		return fmt.Errorf("%w for, behind the answer %q", errUnasked, clip(l.text))
	}
	return nil
}

// lost tells the requester how the process ended that had the message.
func (s *slot) lost(p *process, j *job) error {
	s.pool.endBy(p, p.leave)
	j.done <- result{err: fmt.Errorf("%w (it had this message in hand)", p.end())}
	return errClosed
}
