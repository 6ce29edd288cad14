package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey/broker"
)

func TestSyncFlag_ReachesTheBroker(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		typed, env string
		want       time.Duration
	}{
		{want: 0}, // the broker's default
		{typed: "always", want: broker.SyncAlways},
		{typed: "1ms", want: time.Millisecond},
		{typed: "2m", want: 2 * time.Minute},
		{env: "always", want: broker.SyncAlways},
		{env: "always", typed: "1s", want: time.Second},
	} {
		a := newTestApp(new(bytes.Buffer), new(bytes.Buffer), map[string]string{"DAMREY_SYNC": c.env})
		var f fabricFlags
		cmd := new(cobra.Command)
		f.add(cmd)
		if c.typed != "" {
			if err := cmd.Flags().Set("sync", c.typed); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.readEnvironment(cmd); err != nil {
			t.Fatal(err)
		}
		if got := f.config(a).Broker.Sync; got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestSyncFlag_PrintsWhatCanBeTyped(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"always", "1ms", "2m0s"} {
		var s syncTime
		if err := s.Set(text); err != nil || s.String() != text {
			t.Errorf("%q became %q, %v", text, s.String(), err)
		}
	}
}
