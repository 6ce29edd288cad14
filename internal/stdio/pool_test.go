package stdio_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/stdio"
)

// bound is how long a test waits for what must come.
const bound = 30 * time.Second

// startPool runs the test's own binary as the program.
func startPool(t *testing.T, procs int) (pool *stdio.Pool, stop func()) {
	t.Helper()
	t.Setenv("STDIO_TEST_PROGRAM", "1")
	pool, err := stdio.New(stdio.Config{Argv: []string{os.Args[0]}, Procs: procs, DrainTime: bound, Log: zerolog.New(zerolog.NewTestWriter(t))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(bound):
			t.Error("Run does not return")
		}
	})
	t.Cleanup(stop)
	select {
	case <-pool.Ready():
	case <-time.After(bound):
		t.Fatal("the pool is not ready")
	}
	return pool, stop
}

func do(t *testing.T, pool *stdio.Pool, within time.Duration, typ string, args ...string) (damrey.Msg, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return pool.Do(ctx, damrey.NewRequest(typ, args...))
}

func mustDo(t *testing.T, pool *stdio.Pool, typ string, args ...string) damrey.Msg {
	t.Helper()
	msg, err := do(t, pool, bound, typ, args...)
	if err != nil {
		t.Fatalf("%s: %v", typ, err)
	}
	return msg
}

func TestPool_ReadsAnswers(t *testing.T) {
	pool, _ := startPool(t, 1)
	long := strings.Repeat("x", 1<<20)
	for _, c := range []struct {
		line string
		want damrey.Msg
	}{
		{"plain text", damrey.Msg{"RESPONSE", "", "plain text"}},
		{"", nil},
		{`["RESPONSE","add","7"]`, damrey.Msg{"RESPONSE", "add", "7"}},
		{` ["REQUEST","square","7"]`, damrey.Msg{"REQUEST", "square", "7"}},
		{`["ERROR","no"]`, damrey.Msg{"ERROR", "no"}},
		{`["a","b"]`, damrey.Msg{"RESPONSE", "", `["a","b"]`}},
		{`[1,2]`, damrey.Msg{"RESPONSE", "", `[1,2]`}},
		{`[`, damrey.Msg{"RESPONSE", "", `[`}},
		{"carriage\r", damrey.Msg{"RESPONSE", "", "carriage"}},
		{long, damrey.Msg{"RESPONSE", "", long}},
	} {
		if got := mustDo(t, pool, "echo", c.line); !slices.Equal(got, c.want) {
			t.Errorf("the line %.40q became %.80q, want %.80q", c.line, got, c.want)
		}
	}
}

func TestPool_RefusesBytesThatAreNoText(t *testing.T) {
	pool, _ := startPool(t, 1)
	if _, err := do(t, pool, bound, "echo", "\xff"); !errors.Is(err, stdio.ErrNotText) {
		t.Errorf("got %v", err)
	}
}

func TestPool_TellsTheDeathOfTheProcessThatHadTheMessage(t *testing.T) {
	pool, _ := startPool(t, 1)
	_, err := do(t, pool, bound, "die")
	if !errors.Is(err, stdio.ErrEnded) || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v", err)
	}
	if got := mustDo(t, pool, "echo", "alive"); got.Arg(0) != "alive" {
		t.Errorf("after it, got %q", got)
	}
}

func TestPool_TellsThatTheProgramClosedItsOutput(t *testing.T) {
	pool, _ := startPool(t, 1)
	_, err := do(t, pool, bound, "mute")
	if err == nil || !strings.Contains(err.Error(), "closed its standard output") {
		t.Errorf("got %v", err)
	}
	if got := mustDo(t, pool, "echo", "alive"); got.Arg(0) != "alive" {
		t.Errorf("after it, got %q", got)
	}
}

func TestPool_TakesALastLineWithoutLineFeed(t *testing.T) {
	pool, _ := startPool(t, 1)
	if got := mustDo(t, pool, "unended", "last words"); got.Arg(0) != "last words" {
		t.Errorf("got %q", got)
	}
}

func TestPool_StartsAnewAfterALineNobodyAskedFor(t *testing.T) {
	pool, _ := startPool(t, 1)
	before := mustDo(t, pool, "pid").Arg(0)
	if got := mustDo(t, pool, "twice", "one"); got.Arg(0) != "one" {
		t.Errorf("got %q", got)
	}
	if got := mustDo(t, pool, "pid").Arg(0); got == before || got == "again" {
		t.Errorf("the next answer is %q, of process %s", got, before)
	}
}

func TestPool_StartsAnewWhenTheBudgetIsUsedUp(t *testing.T) {
	pool, _ := startPool(t, 1)
	before := mustDo(t, pool, "pid").Arg(0)
	if _, err := do(t, pool, 50*time.Millisecond, "hang"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if got := mustDo(t, pool, "pid").Arg(0); got == before {
		t.Errorf("process %s, which still had the message, got the next one", got)
	}
}

func TestPool_RunsAsManyProcessesAsAsked(t *testing.T) {
	pool, _ := startPool(t, 2)
	ctx, cancel := context.WithCancel(context.Background())
	hangs := make(chan struct{})
	go func() {
		defer close(hangs)
		if _, err := pool.Do(ctx, damrey.NewRequest("hang")); !errors.Is(err, context.Canceled) {
			t.Errorf("hang: %v", err)
		}
	}()
	for range 20 {
		mustDo(t, pool, "echo", "free")
	}
	cancel()
	<-hangs
}

func TestPool_StopsAProcessThatIgnoresTheQuestion(t *testing.T) {
	t.Setenv("STDIO_TEST_PROGRAM", "1")
	pool, err := stdio.New(stdio.Config{Argv: []string{os.Args[0]}, DrainTime: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(ctx) }()
	mustDo(t, pool, "stubborn")
	go func() { _, _ = pool.Do(context.Background(), damrey.NewRequest("hang")) }()
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(bound):
		t.Fatal("Run does not return")
	}
	if _, err := pool.Do(context.Background(), damrey.NewRequest("echo", "x")); !errors.Is(err, stdio.ErrStopped) {
		t.Errorf("after the end: %v", err)
	}
}

func TestPool_StoppedAsSoonAsStarted(t *testing.T) { // the leak check at the end finds what was left
	for range 10 {
		_, stop := startPool(t, 1)
		stop()
	}
}

func TestPool_ManyAskAtOnceAndNobodyGetsAnothersAnswer(t *testing.T) {
	pool, _ := startPool(t, 4)
	var group sync.WaitGroup
	for i := range 200 {
		group.Go(func() {
			want := strings.Repeat("x", i)
			got, err := do(t, pool, bound, "echo", "n"+want)
			if err != nil || got.Arg(0) != "n"+want {
				t.Errorf("asked for %d, got %q, %v", i, got, err)
			}
		})
	}
	group.Wait()
}

func TestNew_RefusesWhatCannotRun(t *testing.T) {
	t.Parallel()
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, argv := range [][]string{nil, {""}, {"no-such-program-anywhere"}, {plain}} {
		if _, err := stdio.New(stdio.Config{Argv: argv}); !errors.Is(err, stdio.ErrNotStarted) {
			t.Errorf("%q: %v", argv, err)
		}
	}
}

func TestPool_TellsAtTheBeginningThatTheProgramCannotStart(t *testing.T) {
	t.Parallel()
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("\x00 no program"), 0o700); err != nil {
		t.Fatal(err)
	}
	pool, err := stdio.New(stdio.Config{Argv: []string{broken}})
	if err != nil {
		t.Fatal(err)
	}
	if err := pool.Run(t.Context()); !errors.Is(err, stdio.ErrNotStarted) {
		t.Errorf("got %v", err)
	}
}
