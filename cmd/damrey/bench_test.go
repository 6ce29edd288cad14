package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/damrey/damrey/bench"
)

// What was measured until then is printed, for programs a list even when it is empty, and the run has failed.
func TestBench_InterruptedSaysSo(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	a := newTestApp(&stdout, &stderr, nil)
	out := &output{enum{value: "json", allowed: []string{"table", "json"}}}
	err := a.runBench(ctx, bench.Config{Rows: []string{"request", "send"}, Rounds: 1, Scale: 0.01}, out)
	if err == nil || err.Error() != "interrupted: 0 of 2 rows are measured" || stdout.String() != "[]\n" {
		t.Errorf("%v, %s", err, &stdout)
	}
	out.value = "table"
	if err := a.printResults([]bench.Result{{Name: "request"}}, out); err != nil || !strings.Contains(stdout.String(), "request") {
		t.Errorf("%v, %s", err, &stdout)
	}
}
