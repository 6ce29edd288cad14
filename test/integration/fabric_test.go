//go:build unix

package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// patience bounds every wait; what works takes a small part of it.
const patience = time.Minute

// The variables with which the ports of the example are chosen.
const (
	proxyPort = "PROXY_PORT"
	natsPort  = "NATS_PORT"
	leafPort  = "LEAF_PORT"
	agentPort = "AGENT_PORT"
	httpPort  = "HTTP_PORT"
)

// square is the example of that name, with ports and a state directory of its
// own.
type square struct {
	t     testing.TB
	root  string // of the repository
	home  string // STATE_HOME
	ports map[string]int
}

// newSquare prepares the example and does not start it. Whatever of it runs at
// the end of the test is stopped.
func newSquare(t testing.TB) *square {
	t.Helper()
	root := repository(t)
	lookAtTree(t, root)
	s := &square{t: t, root: root, home: t.TempDir(), ports: freePorts(t, proxyPort, natsPort, leafPort, agentPort, httpPort)}
	t.Cleanup(func() { s.script("stop") })
	return s
}

func repository(t testing.TB) string {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	must(t, err)
	return root
}

// lookAtTree looks at all that the example is built from, so that `go test`
// sees that the result depends on it and does not give an old one from its
// cache.
func lookAtTree(t testing.TB, root string) {
	t.Helper()
	must(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && (name == "node_modules" || path != root && strings.HasPrefix(name, ".")) {
			return filepath.SkipDir
		}
		switch filepath.Ext(path) {
		case ".go", ".mod", ".sum", ".sh", ".mjs", "":
			_, err = os.Stat(path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // an editor's file, gone again
		}
		return err
	}))
}

// startSquare runs the example.
func startSquare(t testing.TB) *square {
	t.Helper()
	s := newSquare(t)
	if out, err := s.script("run"); err != nil {
		t.Fatalf("run: %v\n%s", err, out)
	}
	return s
}

// freePorts finds ports for the names, below those that the system gives to
// outgoing connections, so that none is taken before the example listens.
func freePorts(t testing.TB, names ...string) map[string]int {
	t.Helper()
	ports := make(map[string]int, len(names))
	for port := 20_000 + rand.IntN(10_000); len(ports) < len(names); port++ {
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			must(t, ln.Close())
			ports[names[len(ports)]] = port
		}
		if port > 32_000 {
			t.Fatal("no free ports between 20000 and 32000")
		}
	}
	return ports
}

// script runs examples/square/<name>, from a directory that is not the tree.
func (s *square) script(name string, env ...string) (output string, err error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", filepath.Join(s.root, "examples", "square", name))
	cmd.Dir = s.home
	cmd.Env = append(os.Environ(), "STATE_HOME="+s.home)
	for variable, port := range s.ports {
		cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d", variable, port))
	}
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (s *square) address(port string) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.ports[port]))
}

// state is the example's state directory, the only entry of STATE_HOME.
func (s *square) state() string {
	s.t.Helper()
	found, err := filepath.Glob(filepath.Join(s.home, "damrey-example-square-*"))
	must(s.t, err)
	if len(found) != 1 {
		s.t.Fatalf("the state directories are %q, want one", found)
	}
	return found[0]
}

// damrey runs the command of the tree with the proxy and agent of this
// example, and fails the test when it fails.
func (s *square) damrey(args ...string) string {
	s.t.Helper()
	out, err := s.tryDamrey(args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func (s *square) tryDamrey(args ...string) (stdout string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(s.state(), "bin", "damrey"), args...)
	cmd.Env = s.environment()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("damrey %s: %w\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out), err
}

// environment points at this example's proxy and agent.
func (s *square) environment() []string {
	return append(os.Environ(), "DAMREY_PROXY="+s.address(proxyPort), "NATS_URL=nats://"+s.address(agentPort))
}

// ask asks the example over http.
func (s *square) ask(a, b string) (status int, body string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	query := url.Values{"a": {a}, "b": {b}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address(httpPort)+"/?"+query.Encode(), nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data), errors.Join(err, resp.Body.Close())
}

// answers fails the test unless a and b give this status, and a body with this
// text.
func (s *square) answers(a, b string, status int, text string) {
	s.t.Helper()
	got, body, err := s.ask(a, b)
	must(s.t, err)
	if got != status || !strings.Contains(body, text) {
		s.t.Fatalf("%s and %s gave %d %q, want %d and %q", a, b, got, body, status, text)
	}
}

// connect makes a plain NATS connection to one of the example's ports.
func (s *square) connect(port string) *nats.Conn {
	s.t.Helper()
	nc, err := nats.Connect("nats://" + s.address(port))
	must(s.t, err)
	s.t.Cleanup(nc.Close)
	return nc
}

// eventually asks again and again until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for end := time.Now().Add(patience); !ok(); <-ticker.C {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
