//go:build unix

package page

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fabric is a proxy and workers, each a process:
//
//	entry ─ add ──────────→ add ─ square → square
//	      ├ crawl ────────→ slow ─ square ↗        takes a third of a second
//	      └ pay, durable ─→ bank                   fails until its account is opened
type fabric struct {
	t       *testing.T
	bin     string
	env     []string
	rest    string // URL of the proxy
	entry   string // URL of the worker entry
	account string // the file that bank looks for
	square  *process
}

// What bank and slow do with a line, by the sh that runs them.
const (
	bankScript = `while read -r line; do
	if [ -e "$0" ]; then echo '["RESPONSE","pay","paid"]'; else echo '["ERROR","pay","no account 4711"]'; fi
done`
	slowScript = `while read -r line; do sleep 0.3; echo '["REQUEST","square","7"]'; done`
)

func startFabric(t *testing.T) *fabric {
	t.Helper()
	f := &fabric{t: t, bin: t.TempDir(), account: filepath.Join(t.TempDir(), "account"), env: ownEnvironment()}
	f.build()
	proxy := start(t, f.env, f.program("damrey"), "dev", "--port", "0", "--nats-port", "0", "--leaf-port", "0")
	f.rest = proxy.wrote("rest")
	f.env = append(f.env, "NATS_URL="+proxy.wrote("nats"), "DAMREY_PROXY="+strings.TrimPrefix(f.rest, "http://"))
	f.damrey("worker", "add", "entry", "--command", "add=add", "--command", "crawl=slow", "--command", "pay=bank,durable,attempts=1")
	f.damrey("worker", "add", "add", "--command", "square=square")
	f.damrey("worker", "add", "slow", "--command", "square=square")
	f.damrey("worker", "add", "bank", "--max-messages", "1000")
	f.damrey("worker", "add", "square")
	start(t, f.env, f.program("damrey"), "worker", "run", "bank", "--", "sh", "-c", bankScript, f.account)
	start(t, f.env, f.program("damrey"), "worker", "run", "slow", "--", "sh", "-c", slowScript)
	start(t, f.env, f.program("add"))
	f.startSquare()
	address := freeAddress(t)
	f.entry = "http://" + address
	start(t, append(f.env, "HTTP_ADDR="+address), f.program("entry"))
	startLoad(t, func() { f.ask() })
	return f
}

func (f *fabric) build() {
	f.t.Helper()
	cmd := exec.Command("go", "build", "-o", f.bin, "./cmd/damrey", "./examples/square/entry", "./examples/square/add", "./examples/square/square")
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		f.t.Fatalf("go build: %v\n%s", err, out)
	}
}

func (f *fabric) program(name string) string { return filepath.Join(f.bin, name) }

func (f *fabric) startSquare() { f.square = start(f.t, f.env, f.program("square")) }

// ownEnvironment is this process's without what it says to other Damrey and NATS programs.
func ownEnvironment() []string {
	var env []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "DAMREY_") && !strings.HasPrefix(variable, "NATS_") && !strings.HasPrefix(variable, "WORKER=") {
			env = append(env, variable)
		}
	}
	return env
}

func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer ln.Close()
	return ln.Addr().String()
}

// ask has the line add two numbers and square the sum. While square is away it is answered otherwise.
func (f *fabric) ask() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.entry+"/?a=3&b=4", nil)
	if err != nil {
		f.t.Error(err)
		return
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Errorf("entry does not answer: %v", err)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode == http.StatusOK && string(body) != "49\n" {
		f.t.Errorf("entry answered %q (%v)", body, err)
	}
}

// damrey runs the command, and fails the test when it fails.
func (f *fabric) damrey(args ...string) string {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, f.program("damrey"), args...)
	cmd.Env = f.env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		f.t.Fatalf("damrey %s: %v\n%s%s", strings.Join(args, " "), err, out, &stderr)
	}
	return string(out)
}

// put changes something over REST.
func (f *fabric) put(path string, document any) {
	f.t.Helper()
	body, err := json.Marshal(document)
	must(f.t, err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, f.rest+path, bytes.NewReader(body))
	must(f.t, err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	must(f.t, err)
	defer resp.Body.Close()
	if said, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		f.t.Fatalf("PUT %s: %s (%v) %s", path, resp.Status, err, said)
	}
}

// eventually asks again and again until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
