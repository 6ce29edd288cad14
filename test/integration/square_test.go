//go:build unix

package integration

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
)

func TestExample_SquarePrints49(t *testing.T) {
	tree := listExamples(t)
	s := newSquare(t)
	out, err := s.script("run")
	if err != nil {
		t.Fatalf("run: %v\n%s", err, out)
	}
	for _, text := range []string{"\n49\n", "curl '", "worker list", "worker chg entry", "nats -s nats://" + s.address(agentPort), "stop"} {
		if !strings.Contains(out, text) {
			t.Errorf("run printed nothing of %q:\n%s", text, out)
		}
	}
	s.answers("3", "4", http.StatusOK, "49\n")
	s.answers("-3", "-4", http.StatusOK, "49\n")
	pids := s.pids()
	if len(pids) != 5 {
		t.Errorf("run noted the processes %v, want 5", pids)
	}

	if out, err := s.script("run"); err == nil || !strings.Contains(out, "runs already") || !strings.Contains(out, "stop") {
		t.Errorf("a second run ended with %v and said:\n%s", err, out)
	}
	s.answers("3", "4", http.StatusOK, "49\n")

	if out, err := s.script("stop"); err != nil || !strings.Contains(out, "stopped") {
		t.Errorf("stop: %v\n%s", err, out)
	}
	for name, pid := range pids {
		if alive(pid) {
			t.Errorf("%s, process %d, still runs", name, pid)
		}
	}
	if left, err := os.ReadDir(s.home); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
	if now := listExamples(t); !slices.Equal(now, tree) {
		t.Errorf("the tree was\n%s\nand is now\n%s", strings.Join(tree, "\n"), strings.Join(now, "\n"))
	}
	if out, err := s.script("stop"); err != nil || !strings.Contains(out, "does not run") {
		t.Errorf("a second stop: %v\n%s", err, out)
	}
}

func TestExample_SquareSaysWhichPortIsTaken(t *testing.T) {
	for _, variable := range []string{proxyPort, natsPort, leafPort, agentPort, httpPort} {
		t.Run(variable, func(t *testing.T) {
			s := newSquare(t)
			ln, err := net.Listen("tcp", s.address(variable))
			must(t, err)
			defer ln.Close()
			out, err := s.script("run")
			if err == nil {
				t.Errorf("run did not fail")
			}
			want := fmt.Sprintf("port %d is taken", s.ports[variable])
			if !strings.Contains(out, want) || !strings.Contains(out, variable+"=") {
				t.Errorf("said nothing of %q and %s:\n%s", want, variable, out)
			}
			if left, err := os.ReadDir(s.home); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v (%v)", left, err)
			}
			for other := range s.ports {
				if other == variable {
					continue
				}
				if free, err := net.Listen("tcp", s.address(other)); err != nil {
					t.Errorf("somebody still listens at %s: %v", other, err)
				} else {
					free.Close()
				}
			}
		})
	}
}

// A process id is given again by the system; only with its start time it means
// the process that was started.
func TestExample_SquareStopsOnlyItsOwn(t *testing.T) {
	s := startSquare(t)
	noted := filepath.Join(s.state(), "agent.pid")
	before, err := os.ReadFile(noted)
	must(t, err)
	_, since, _ := strings.Cut(strings.TrimSpace(string(before)), " ")
	agent := s.pids()["agent"]
	must(t, os.WriteFile(noted, fmt.Appendf(nil, "%d %s\n", os.Getpid(), since), 0o600))
	if out, err := s.script("stop"); err != nil {
		t.Errorf("stop: %v\n%s", err, out)
	}
	// That this line runs shows that this process was not ended.
	if !alive(agent) {
		t.Error("the agent was stopped though another process stood in its place")
	}
	must(t, syscall.Kill(agent, syscall.SIGTERM))
	eventually(t, "the agent ends", func() bool { return !alive(agent) })
}

func TestExample_SquareAnswersWithStatuses(t *testing.T) {
	s := startSquare(t)
	s.answers("x", "4", http.StatusBadRequest, `"x" is not a whole number`)
	s.answers("99999999999999999999", "1", http.StatusOK, "10000000000000000000000000000000000000000\n")

	s.damrey("worker", "chg", "entry", "--command", "add=nobody")
	eventually(t, "STOP is answered with 503", func() bool {
		status, body, err := s.ask("3", "4")
		return err == nil && status == http.StatusServiceUnavailable && strings.Contains(body, "nobody")
	})

	mute, err := s.connect(agentPort).SubscribeSync("damrey.msg.mute.*.*")
	must(t, err)
	must(t, mute.SetPendingLimits(10, 1<<20))
	s.damrey("worker", "chg", "entry", "--command", "add=mute")
	eventually(t, "TIMEOUT is answered with 504", func() bool {
		status, _, err := s.ask("3", "4")
		return err == nil && status == http.StatusGatewayTimeout
	})

	s.damrey("worker", "chg", "entry", "--remove-command", "add")
	eventually(t, "no route is answered with 503", func() bool {
		status, body, err := s.ask("3", "4")
		return err == nil && status == http.StatusServiceUnavailable && strings.Contains(body, "no route")
	})
}

func TestExample_SquareIsReadableByAnyNATSClient(t *testing.T) {
	s := startSquare(t)
	for _, port := range []string{agentPort, natsPort} {
		nc := s.connect(port)
		seen, err := nc.SubscribeSync("damrey.msg.>")
		must(t, err)
		must(t, nc.Flush())
		want := map[string]string{
			"damrey.msg.add.add.entry":     `["REQUEST","add","3","4"]`,
			"damrey.msg.square.square.add": `["REQUEST","square","7"]`,
		}
		// A subscription at the broker takes a moment to be known at the agent.
		eventually(t, "both messages are seen at "+port, func() bool {
			s.answers("3", "4", http.StatusOK, "49\n")
			for n, _, _ := seen.Pending(); n > 0; n-- {
				m, err := seen.NextMsg(patience)
				must(t, err)
				if text, ours := want[m.Subject]; ours && text != string(m.Data) {
					t.Fatalf("%s carried %s, want %s", m.Subject, m.Data, text)
				}
				delete(want, m.Subject)
			}
			return len(want) == 0
		})
		must(t, seen.Unsubscribe())
	}
}

// received asks NATS's service discovery how many messages a worker has had.
func received(t testing.TB, nc *nats.Conn, worker string) int {
	t.Helper()
	m, err := nc.Request("$SRV.STATS."+worker, nil, patience)
	must(t, err)
	var stats struct {
		Endpoints []struct {
			NumRequests int `json:"num_requests"`
		} `json:"endpoints"`
	}
	must(t, json.Unmarshal(m.Data, &stats))
	if len(stats.Endpoints) != 1 {
		t.Fatalf("%s has %d endpoints: %s", worker, len(stats.Endpoints), m.Data)
	}
	return stats.Endpoints[0].NumRequests
}

// pids are the processes that run noted.
func (s *square) pids() map[string]int {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.state(), "*.pid"))
	must(s.t, err)
	pids := make(map[string]int, len(files))
	for _, file := range files {
		noted, err := os.ReadFile(file)
		must(s.t, err)
		text, _, _ := strings.Cut(string(noted), " ")
		pid, err := strconv.Atoi(text)
		must(s.t, err)
		pids[strings.TrimSuffix(filepath.Base(file), ".pid")] = pid
	}
	return pids
}

// alive says whether a process runs. One that has ended and whose parent has
// not looked yet does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return os.IsNotExist(err) && !hasProc()
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func hasProc() bool {
	_, err := os.Stat("/proc/self/stat")
	return err == nil
}

// listExamples names the files under examples, besides what npm puts there.
func listExamples(t testing.TB) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(filepath.Join("..", "..", "examples"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "node_modules" {
			return filepath.SkipDir
		}
		files = append(files, path)
		return err
	})
	must(t, err)
	return files
}
