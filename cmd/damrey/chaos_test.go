package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/damrey/damrey/chaos"
)

// Programs find what a run counted under these names, also when nothing was counted.
func TestChaos_AsJSON(t *testing.T) {
	t.Parallel()
	var stdout bytes.Buffer
	out := &output{enum{value: "json", allowed: []string{"table", "json"}}}
	if err := out.print(&stdout, chaos.Report{Seed: 7, Faults: []chaos.Fault{{Name: "kill-agent"}}}); err != nil {
		t.Fatal(err)
	}
	var report map[string]any
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sent", "stored", "processed", "doubled", "dead", "lost", "unanswered", "answered_twice", "out_of_order", "worst_stall_ms"} {
		if n, ok := report[name].(float64); !ok || n != 0 {
			t.Errorf("%s is %v", name, report[name])
		}
	}
	if faults, ok := report["faults"].([]any); !ok || len(faults) != 1 || report["seed"] != 7.0 {
		t.Errorf("%s", &stdout)
	}
}
