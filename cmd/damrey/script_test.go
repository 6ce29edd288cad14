package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/broker"
	"github.com/damrey/damrey/internal/bucket"
)

// The commands that the scripts have beyond testscript's own.

// running is a daemon of a script.
type running struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer // to be read when it has ended
	ended  chan error
}

// daemonsKey is where a script keeps its daemons, by name.
type daemonsKey struct{}

// daemon starts a process and waits for its line `ready`: daemon NAME PROGRAM ARG… Each line `key value` before it
// becomes the variable NAME_key.
func daemon(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: daemon NAME PROGRAM [ARG]...")
	}
	name := args[0]
	d := &running{cmd: exec.Command(args[1], args[2:]...), ended: make(chan error, 1)}
	d.cmd.Dir, d.cmd.Env = ts.MkAbs("."), ts.Value(envKey{}).([]string)
	d.cmd.Stderr = &d.stderr
	stdout, err := d.cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(d.cmd.Start())
	ts.Defer(func() { _ = d.cmd.Process.Kill() }) // an error means that it has ended
	ready := make(chan map[string]string, 1)
	go func() {
		ready <- readUntilReady(stdout)
		_, _ = io.Copy(io.Discard, stdout)
		d.ended <- d.cmd.Wait()
	}()
	select {
	case values := <-ready:
		if values == nil {
			err := <-d.ended
			ts.Fatalf("%s ended before it was ready: %v\n%s", name, err, d.stderr.String())
		}
		for key, value := range values {
			ts.Setenv(name+"_"+key, value)
		}
	case <-time.After(bound):
		ts.Fatalf("%s is not ready", name)
	}
	ts.Value(daemonsKey{}).(map[string]*running)[name] = d
}

// readUntilReady gives the lines before `ready`; nil when that does not come.
func readUntilReady(r io.Reader) map[string]string {
	values := make(map[string]string)
	for lines := bufio.NewReader(r); ; {
		text, err := lines.ReadString('\n')
		if err != nil {
			return nil
		}
		key, value, _ := strings.Cut(strings.TrimSuffix(text, "\n"), " ")
		if key == "ready" {
			return values
		}
		if key != "" && value != "" {
			values[key] = value
		}
	}
}

// end sends a daemon one Ctrl-C and waits until it has ended well: end NAME. What it wrote to stderr is in NAME.log.
func end(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: end NAME")
	}
	d := ts.Value(daemonsKey{}).(map[string]*running)[args[0]]
	if d == nil {
		ts.Fatalf("there is no daemon %s", args[0])
	}
	ts.Check(d.cmd.Process.Signal(syscall.SIGINT))
	select {
	case err := <-d.ended:
		ts.Check(os.WriteFile(ts.MkAbs(args[0]+".log"), d.stderr.Bytes(), 0o600))
		if err != nil {
			ts.Fatalf("%s: %v\n%s", args[0], err, d.stderr.String())
		}
	case <-time.After(bound):
		ts.Fatalf("%s does not end", args[0])
	}
}

// code runs a command that must end with exactly this code: code N PROGRAM ARG…
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N PROGRAM [ARG]...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("ended with %d, not with %d", got, want)
	}
}

// until runs a command again and again until it succeeds, or with ! until it fails.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: [!] until PROGRAM [ARG]...")
	}
	for deadline := time.Now().Add(bound); ; time.Sleep(20 * time.Millisecond) { // a poll with a bound
		err := ts.Exec(args[0], args[1:]...)
		if (err == nil) != neg {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("it did not come to that: %v", err)
		}
	}
}

// bareNATS runs a NATS server with JetStream where nobody routes, and puts its URL into a variable: barenats VARIABLE
func bareNATS(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: barenats VARIABLE")
	}
	b, err := broker.New(broker.Config{Port: -1, LeafPort: -1})
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	ts.Defer(func() {
		cancel()
		if err := <-ended; err != nil {
			ts.Logf("the bare NATS server: %v", err)
		}
	})
	select {
	case <-b.Ready():
		ts.Setenv(args[0], b.ClientURL())
	case <-time.After(bound):
		ts.Fatalf("the bare NATS server is not ready")
	}
}

// portOf puts the port of a URL into a variable: portof VARIABLE URL
func portOf(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: portof VARIABLE URL")
	}
	i := strings.LastIndexByte(args[1], ':')
	if _, err := strconv.Atoi(args[1][i+1:]); err != nil {
		ts.Fatalf("%q has no port", args[1])
	}
	ts.Setenv(args[0], args[1][i+1:])
}

// streams makes what stores messages of durable routes to some workers: streams NATS WORKER…
func streams(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: streams NATS WORKER...")
	}
	nc, err := nats.Connect(args[0])
	ts.Check(err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	ts.Check(bucket.EnsureDead(ctx, js, damrey.DefaultPrefix))
	for _, worker := range args[1:] {
		ts.Check(bucket.EnsureJobs(ctx, js, damrey.DefaultPrefix, worker, bucket.Limits{}))
	}
}

// store puts something into the table beside the proxy: store NATS KEY VALUE
func store(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: store NATS KEY VALUE")
	}
	nc, err := nats.Connect(args[0])
	ts.Check(err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	_, err = js.Publish(ctx, "$KV."+bucket.Name(damrey.DefaultPrefix)+"."+args[1], []byte(args[2]))
	ts.Check(err)
}

// stock asks as a client with an inbox prefix of its own, and wants an answer, with ! none: [!] stock NATS PREFIX SUBJECT TEXT
func stock(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 4 {
		ts.Fatalf("usage: [!] stock NATS PREFIX SUBJECT TEXT")
	}
	nc, err := nats.Connect(args[0], nats.CustomInboxPrefix(args[1]))
	ts.Check(err)
	defer nc.Close()
	within := bound
	if neg {
		within = 200 * time.Millisecond
	}
	m, err := nc.Request(args[2], []byte(args[3]), within)
	if neg != errors.Is(err, nats.ErrTimeout) || !neg && err != nil {
		ts.Fatalf("answer %v, error %v", m, err)
	}
	if m != nil && !strings.HasPrefix(string(m.Data), `["RESPONSE",`) {
		ts.Fatalf("answered %s", m.Data)
	}
}

// large writes a registration of more than a megabyte: large FILE NAME
func large(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: large FILE NAME")
	}
	text := []byte("name: " + args[1] + "\ncommands:\n")
	for i := range 30_000 {
		text = append(text, "- {name: type-"+strconv.Itoa(i)+", worker: a-worker-with-a-long-name}\n"...)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), text, 0o600))
}

// utf writes a text in another form of Unicode: utf 8|16|16-bare FILE TEXT; 8 begins with a byte order mark.
func utf(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: utf FORM FILE TEXT")
	}
	data := []byte("\ufeff" + args[2])
	if args[0] != "8" {
		data = nil
		if args[0] == "16" {
			data = []byte{0xff, 0xfe}
		}
		for _, c := range []byte(args[2]) {
			data = append(data, c, 0)
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), data, 0o600))
}

// testscript runs its own command before one of ours of the same name, and its `stop` ends a script as passed.
func TestScripts_DoNotEndEarly(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "script", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts:", err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(archive.Comment)) {
			if words := strings.Fields(line); len(words) > 0 && words[0] == "stop" {
				t.Errorf("%s: %q would end it as passed; use end", file, strings.TrimSpace(line))
			}
		}
	}
}
