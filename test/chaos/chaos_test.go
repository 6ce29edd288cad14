//go:build linux

package chaos

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// program is the damrey under test.
var program string

func TestMain(m *testing.M) {
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "damrey-chaos-test-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program = filepath.Join(dir, "damrey")
	build := exec.Command("go", "build", "-o", program, "./cmd/damrey")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("%s: %w\n%s", build, err, out)
	}
	return m.Run(), nil
}

// report is what the tests look at of what it prints.
type report struct {
	Seed      uint64
	Stored    int
	Processed int
	Dead      int
	Retried   int
	Lost      int
	Doubled   int
	Requests  int
	Faults    []struct{ Name string }
	Problems  []string
	Directory string
}

// run gives the report and the exit code.
func run(t *testing.T, args ...string) (report, int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, append([]string{"chaos", "-o", "json"}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatalf("no report: %v\n%s\n%s", err, &stdout, &stderr)
	}
	t.Log(stdout.String())
	return r, cmd.ProcessState.ExitCode()
}

func TestChaos_LosesAndDoublesNothing(t *testing.T) {
	r, code := run(t, "--minutes", "1", "--seed", "5")
	if code != 0 || len(r.Problems) > 0 {
		t.Errorf("code %d, problems %q; see %s", code, r.Problems, r.Directory)
	}
	if r.Stored == 0 || r.Dead == 0 || r.Processed+r.Dead < r.Stored || r.Retried == 0 || r.Requests == 0 || len(r.Faults) < 3 || r.Seed != 5 {
		t.Errorf("it did too little: %+v", r)
	}
	if r.Directory != "" {
		t.Errorf("nothing was wrong, and %s stays", r.Directory)
	}
}

// Workers that are wrong must be found, or a run that finds nothing proves nothing.
func TestChaos_FindsWorkersThatAreWrong(t *testing.T) {
	for way, wrong := range map[string]func(report) int{
		"ack-early": func(r report) int { return r.Lost },
		"no-dedupe": func(r report) int { return r.Doubled },
	} {
		t.Run(way, func(t *testing.T) {
			r, code := run(t, "--minutes", "0.25", "--seed", "1", "--faults", "kill-instance", "--gap", "200ms", "--break", way)
			if code != 1 || wrong(r) == 0 || len(r.Problems) == 0 {
				t.Errorf("not found: code %d, %+v", code, r)
			}
			if err := os.RemoveAll(r.Directory); err != nil {
				t.Error(err)
			}
		})
	}
}
