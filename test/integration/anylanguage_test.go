//go:build unix

package integration

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestExample_NodeWorkerTakesPart(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		lacks(t, "this test runs a worker in Node, and node is not there (%v); install Node 18 or later with npm, on Debian: apt-get install nodejs npm", err)
	}
	dir := filepath.Join(repository(t), "examples", "anylanguage", "node")
	installModules(t, dir)
	s := startSquare(t)

	s.damrey("worker", "add", "nodeadd", "--command", "square=nodesquare")
	start(t, s.environment(), dir, node, "add.mjs", "nodeadd")
	start(t, s.environment(), dir, node, "square.mjs", "nodesquare")
	nodeAnswers := func() bool {
		status, body, err := s.ask("x", "4")
		return err == nil && status == http.StatusBadRequest && body == "damrey: \"x\" is not a whole number\n"
	}

	// entry (Go) => nodeadd => nodesquare, and the answer back to entry.
	s.damrey("worker", "chg", "entry", "--command", "add=nodeadd")
	nc := s.connect(agentPort)
	seen, err := nc.SubscribeSync("damrey.msg.nodesquare.square.nodeadd")
	must(t, err)
	must(t, nc.Flush())
	eventually(t, "the Node workers are asked", func() bool {
		s.answers("3", "4", http.StatusOK, "49\n")
		n, _, err := seen.Pending()
		return err == nil && n > 0
	})
	must(t, seen.Unsubscribe())
	eventually(t, "an error in Node is an ERROR", nodeAnswers)

	// entry (Go) => nodeadd => square (Go), and a send instead of a request.
	s.damrey("worker", "chg", "nodeadd", "--command", "square=square")
	had := received(t, nc, "square")
	eventually(t, "the last worker is the Go one again", func() bool {
		s.answers("3", "4", http.StatusOK, "49\n")
		return received(t, nc, "square") > had
	})
	had = received(t, nc, "square")
	s.damrey("send", "entry", "add", "3", "4")
	eventually(t, "a send is forwarded too", func() bool { return received(t, nc, "square") > had })
}

// installModules gets the pinned packages where they are missing.
func installModules(t testing.TB, dir string) {
	t.Helper()
	modules := filepath.Join(dir, "node_modules", "@nats-io")
	_, err := os.Stat(filepath.Join(modules, "transport-node"))
	if _, missing := os.Stat(filepath.Join(modules, "services")); err == nil && missing == nil {
		return
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		lacks(t, "npm is not there (%v); on Debian: apt-get install npm", err)
	}
	cmd := exec.Command(npm, "ci", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		lacks(t, "npm ci: %v\n%s", err, out)
	}
}

// lacks leaves a test out where Node is not installed, and says so. Where CI
// runs it fails instead: there everything is tested.
func lacks(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func TestExample_ShellWorker(t *testing.T) {
	s := startSquare(t)
	s.damrey("worker", "add", "shell")
	start(t, s.environment(), s.root, filepath.Join(s.state(), "bin", "damrey"),
		"worker", "run", "shell", "--", "sh", filepath.Join("examples", "anylanguage", "shell", "square.sh"))
	nc := s.connect(agentPort)
	s.damrey("worker", "chg", "add", "--command", "square=shell")
	had := received(t, nc, "shell")
	eventually(t, "the script answers", func() bool {
		s.answers("3", "4", http.StatusOK, "49\n")
		return received(t, nc, "shell") > had
	})
	s.answers("9999999999", "1", http.StatusBadRequest, "not a whole number of at most 9 digits")
	s.answers("-5", "1", http.StatusOK, "16\n")
}
