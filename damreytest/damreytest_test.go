package damreytest_test

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/damreytest"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

func TestStart_AWholeFabricForATest(t *testing.T) {
	f := damreytest.Start(t)
	f.Register(damrey.Registration{Name: "hello"})
	w := damrey.New(damrey.Config{Name: "hello"}, zerolog.Nop(), f.Option())
	w.Handle("greet", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		return damrey.Reply("hello " + in.Arg(0)), nil
	})
	f.Serve(w)
	client := f.Client("client", damrey.Command{Name: "greet", Worker: "hello"})
	got, err := client.Request(t.Context(), "greet", "world")
	if err != nil || got.Arg(0) != "hello world" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestClose_LeavesNothingBehind(t *testing.T) {
	before := goleak.IgnoreCurrent()
	f, err := damreytest.New()
	if err != nil {
		t.Fatal(err)
	}
	f.Client("a")
	f.Client("b")
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	goleak.VerifyNone(t, before)
}

// failedTest is a test that has failed, for those who clean up after it.
type failedTest struct {
	testing.TB
	cleanups []func()
}

func (f *failedTest) Cleanup(c func()) { f.cleanups = append(f.cleanups, c) }
func (f *failedTest) Failed() bool     { return true }

// What a test serves and asks is gone after it, also when FailNow ended it in the middle.
func TestStart_CleansUpAfterATest(t *testing.T) {
	before := goleak.IgnoreCurrent()
	use := func(t testing.TB) {
		f := damreytest.Start(t)
		f.Register(damrey.Registration{Name: "hello"})
		f.Serve(damrey.New(damrey.Config{Name: "hello"}, zerolog.Nop(), f.Option()))
		f.Client("client", damrey.Command{Name: "greet", Worker: "hello"})
	}
	t.Run("that passes", func(t *testing.T) { use(t) })
	goleak.VerifyNone(t, before)

	failed := &failedTest{TB: t}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		use(failed)
		runtime.Goexit() // as FailNow does
	}()
	<-ended
	if len(failed.cleanups) == 0 {
		t.Error("nothing is cleaned up")
	}
	for _, cleanup := range slices.Backward(failed.cleanups) {
		cleanup()
	}
	goleak.VerifyNone(t, before)
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		began := time.Now()
		f, err := damreytest.New()
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms/start")
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
