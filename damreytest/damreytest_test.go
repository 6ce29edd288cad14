package damreytest_test

import (
	"context"
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
