package main

import (
	"bytes"
	"context"
	"encoding/json"
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

// Programs read a list of rows, each with these members.
func TestBench_AsJSON(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	a := newTestApp(&stdout, &stderr, nil)
	out := &output{enum{value: "json", allowed: []string{"table", "json"}}}
	if err := a.runBench(t.Context(), bench.Config{Rows: []string{"request"}, Rounds: 1, Scale: 0.01}, out); err != nil {
		t.Fatal(err)
	}
	var rows []struct {
		Name, What string
		Unit       string
		Raw        float64
		Damrey     float64
		Ratio      map[string]float64
		Target     float64
	}
	decoder := json.NewDecoder(&stdout)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&rows); err != nil || len(rows) != 1 {
		t.Fatalf("%v, %v", err, rows)
	}
	r := rows[0]
	if r.Name != "request" || r.What == "" || r.Unit == "" || r.Raw <= 0 || r.Damrey <= 0 || r.Target != 0.87 {
		t.Errorf("%+v", r)
	}
	if lowest, middle, highest := r.Ratio["min"], r.Ratio["median"], r.Ratio["max"]; len(r.Ratio) != 3 || lowest <= 0 || lowest > middle || middle > highest {
		t.Errorf("ratio %v", r.Ratio)
	}
}

func TestBench_RefusesRowsThatCannotBeMeant(t *testing.T) {
	t.Parallel()
	for rows, says := range map[string]string{
		"request,request": "--rows: request stands twice",
		"request,,send":   "an empty name in --rows",
		"speed":           `--rows: no row "speed"`,
	} {
		var stdout, stderr bytes.Buffer
		if code := execute([]string{"bench", "--rows", rows}, newTestApp(&stdout, &stderr, nil)); code != exitUsage || !strings.Contains(stderr.String(), says) {
			t.Errorf("%s: code %d, %s", rows, code, &stderr)
		}
	}
}
