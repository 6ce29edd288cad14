package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/damrey/damrey"
)

// WorkerConfig is one instance of a worker of the run. It connects as the environment says.
type WorkerConfig struct {
	Stage    string // name of the worker
	Instance string // name of this one in the journal
	Journal  string // file that takes a line for each handler's beginning and end
	Next     string // the type that messages go on as; empty: they end here
	Break    string // one of Breaks
	Log      zerolog.Logger
}

// Worker is such an instance.
type Worker struct {
	*damrey.Instance
	cfg     WorkerConfig
	journal *os.File
	runs    atomic.Int64
	failed  sync.Map // the ids that have failed once here
}

// lateBy is how long after the acknowledgement BreakAckEarly sends.
const lateBy = 300 * time.Millisecond

// NewWorker opens the journal. Close it after Serve.
func NewWorker(cfg WorkerConfig) (*Worker, error) {
	journal, err := os.OpenFile(cfg.Journal, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	w := &Worker{
		Instance: damrey.New(damrey.Config{Name: cfg.Stage}, cfg.Log, damrey.WithDrainTime(5*time.Second)),
		cfg:      cfg, journal: journal,
	}
	w.Handle("*", w.handler())
	return w, nil
}

// Close the journal.
func (w *Worker) Close() error { return w.journal.Close() }

func (w *Worker) handler() damrey.HandlerFunc {
	switch {
	case w.cfg.Stage == echo:
		return func(_ context.Context, in damrey.Msg) (damrey.Msg, error) { return damrey.Reply(in.Args()...), nil }
	case w.cfg.Break == BreakAckEarly:
		return w.acknowledgeEarly
	case w.cfg.Break == BreakNoDedupe:
		return w.sendByItself
	}
	return w.pass
}

// pass takes some time and sends the message on.
func (w *Worker) pass(ctx context.Context, in damrey.Msg) (damrey.Msg, error) {
	e := w.begin(ctx, in)
	work()
	if err := w.fails(e); err != nil {
		e.failed = true
		w.end(e)
		return nil, err
	}
	w.end(e)
	return w.output(in), nil
}

// fails says which messages one worker cannot handle, never or at first.
func (w *Worker) fails(e entry) error {
	if w.cfg.Stage != failing {
		return nil
	}
	switch {
	case doomed(e.number) && isLoose(e.key):
		return errors.New("it cannot be handled, however often it is tried")
	case doomed(e.number):
		return damrey.Discard(errors.New("it cannot be handled"))
	case e.number%stumbleEvery == stumbleEvery/2:
		if _, again := w.failed.LoadOrStore(e.id, true); !again {
			return errors.New("it cannot be handled yet")
		}
	}
	return nil
}

const (
	failing      = "two" // the worker that fails
	stumbleEvery = 20    // of the messages of a key fails at first
	doomEvery    = 150   // fails for good
)

func doomed(number int) bool { return number%doomEvery == doomEvery/2 }

// acknowledgeEarly is wrong: what it sends later is lost when the process is killed before.
func (w *Worker) acknowledgeEarly(ctx context.Context, in damrey.Msg) (damrey.Msg, error) {
	e := w.begin(ctx, in)
	go func() {
		time.Sleep(lateBy)
		w.sendOn(in)
		w.end(e)
	}()
	return nil, nil
}

// sendByItself is wrong: when it runs again it sends another message.
func (w *Worker) sendByItself(ctx context.Context, in damrey.Msg) (damrey.Msg, error) {
	e := w.begin(ctx, in)
	w.sendOn(in)
	work()
	w.end(e)
	return nil, nil
}

func (w *Worker) sendOn(in damrey.Msg) {
	if w.cfg.Next == "" {
		return
	}
	if err := w.Send(context.Background(), typeOf(w.cfg.Next, in.Arg(0)), in.Args()...); err != nil {
		w.cfg.Log.Error().Err(err).Str("id", in.Arg(2)).Msg("not sent on")
	}
}

func (w *Worker) output(in damrey.Msg) damrey.Msg {
	if w.cfg.Next == "" {
		return nil
	}
	return damrey.NewRequest(typeOf(w.cfg.Next, in.Arg(0)), in.Args()...)
}

// work is what a handler does: it takes its time.
func work() { time.Sleep(time.Duration(2+rand.IntN(15)) * time.Millisecond) }

func (w *Worker) begin(ctx context.Context, in damrey.Msg) entry {
	number, err := strconv.Atoi(in.Arg(1))
	if err != nil {
		w.cfg.Log.Fatal().Strs("message", in).Msg("this is no message of the run")
	}
	m, stored := damrey.StoredMessage(ctx)
	if !stored {
		w.cfg.Log.Fatal().Strs("message", in).Msg("this message is not stored")
	}
	e := entry{
		run: fmt.Sprintf("%d.%d", os.Getpid(), w.runs.Add(1)), stage: w.cfg.Stage, instance: w.cfg.Instance, at: time.Now(),
		received: m.Received, messageID: m.ID, sequence: m.Sequence, id: in.Arg(2), key: in.Arg(0), number: number,
	}
	w.enter(e)
	return e
}

func (w *Worker) end(e entry) {
	e.ends, e.at = true, time.Now()
	w.enter(e)
}

func (w *Worker) enter(e entry) {
	if err := e.write(w.journal); err != nil {
		w.cfg.Log.Fatal().Err(err).Msg("the journal cannot be written")
	}
}
