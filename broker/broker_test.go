package broker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/damrey/damrey/broker"
	"github.com/damrey/damrey/internal/bucket"
)

// wantError checks the kind of an error and that it says what a person needs.
func wantError(t *testing.T, err, kind error, says ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got %v, want %v", err, kind)
	}
	for _, text := range says {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q does not say %q", err, text)
		}
	}
}

// takePort listens on a free port until the test ends.
func takePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

// Not parallel: it looks at all goroutines and sets the temporary directory.
func TestBroker_LeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	before := goleak.IgnoreCurrent()
	b := newBroker(t, broker.Config{})
	stop := start(t, b)
	nc, err := b.Connect()
	if err != nil {
		t.Fatal(err)
	}
	if err := bucket.Ensure(testContext(t), jetStream(t, nc), "damrey"); err != nil {
		t.Fatal(err)
	}
	nc.Close()
	stop()

	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left in the temporary directory: %v, %v", left, err)
	}
	goleak.VerifyNone(t, before)
	if _, err := b.Connect(); !errors.Is(err, broker.ErrNotRunning) {
		t.Errorf("Connect after Run: %v", err)
	}
	if err := b.Run(t.Context()); !errors.Is(err, broker.ErrRunTwice) {
		t.Errorf("second Run: %v", err)
	}
}

func TestBroker_StaysDownWhenItsContextHasEnded(t *testing.T) {
	t.Parallel()
	b := newBroker(t, broker.Config{})
	if b.ClientURL() != "" || b.LeafURL() != "" {
		t.Errorf("URLs before Ready: %q, %q", b.ClientURL(), b.LeafURL())
	}
	if _, err := b.Connect(); !errors.Is(err, broker.ErrNotRunning) {
		t.Errorf("Connect before Ready: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Run(ctx); err != nil {
		t.Error(err)
	}
	select {
	case <-b.Ready():
		t.Error("became ready")
	default:
	}
}

func TestBroker_ServesClientsAtItsURL(t *testing.T) {
	t.Parallel()
	b := startBroker(t, broker.Config{Name: "hub", Domain: "here"})
	nc, err := nats.Connect(b.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if name := nc.ConnectedServerName(); name != "hub" {
		t.Errorf("server name %q", name)
	}
	if addr := connect(t, b).ConnectedAddr(); addr != "pipe" {
		t.Errorf("Connect went over the network: %s", addr)
	}
	if info, err := jetStream(t, nc).AccountInfo(testContext(t)); err != nil || info.Domain != "here" || b.Domain() != "here" {
		t.Errorf("domain of %+v, %v; Domain() %q", info, err, b.Domain())
	}
}

func TestBroker_KeepsItsBucketsOverARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx := testContext(t)

	b := newBroker(t, broker.Config{Dir: dir})
	stop := start(t, b)
	js := jetStream(t, connect(t, b))
	if err := bucket.Ensure(ctx, js, "damrey"); err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(ctx, bucket.Name("damrey"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.PutString(ctx, "add", "1"); err != nil {
		t.Fatal(err)
	}
	stop()

	again := startBroker(t, broker.Config{Dir: dir})
	kv, err = jetStream(t, connect(t, again)).KeyValue(ctx, bucket.Name("damrey"))
	if err != nil {
		t.Fatal(err)
	}
	if e, err := kv.Get(ctx, "add"); err != nil || string(e.Value()) != "1" {
		t.Errorf("got %v, %v", e, err)
	}
}

func TestBroker_RefusesADirectoryThatARunningOneOwns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	late := newBroker(t, broker.Config{Dir: dir}) // made while the directory was free
	startBroker(t, broker.Config{Dir: dir})

	_, err := broker.New(broker.Config{Port: -1, LeafPort: -1, Dir: dir})
	pid := fmt.Sprintf("pid %d", os.Getpid())
	wantError(t, err, broker.ErrDir, dir, pid, "--data")
	wantError(t, late.Run(t.Context()), broker.ErrDir, dir, pid, "--data")
}

func TestBroker_IsNotStoppedByAStaleLock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "damrey.lock"), []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	startBroker(t, broker.Config{Dir: dir})
}

func TestBroker_RefusesADirectoryItCannotUse(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := broker.New(broker.Config{Port: -1, LeafPort: -1, Dir: file})
	wantError(t, err, broker.ErrDir, file, "--data")
	// Where not even root may write.
	for _, dir := range []string{"/proc", "/proc/damrey"} {
		_, err := broker.New(broker.Config{Port: -1, LeafPort: -1, Dir: dir})
		wantError(t, err, broker.ErrDir, dir, "--data")
	}
	data := t.TempDir()
	inside := filepath.Join(data, "jetstream")
	if err := os.WriteFile(inside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = broker.New(broker.Config{Port: -1, LeafPort: -1, Dir: data})
	wantError(t, err, broker.ErrDir, inside, "cannot be written", "--data")
}

func TestBroker_RefusesAStoreOfAnotherUser(t *testing.T) {
	t.Parallel()
	inside := filepath.Join(t.TempDir(), "jetstream")
	if err := os.Mkdir(inside, 0o500); err != nil {
		t.Fatal(err)
	}
	_, err := broker.New(broker.Config{Port: -1, LeafPort: -1, Dir: filepath.Dir(inside)})
	if os.Geteuid() == 0 { // who may write anywhere, and must leave nothing there
		if entries, readErr := os.ReadDir(inside); err != nil || readErr != nil || len(entries) != 0 {
			t.Errorf("refused with %v; left %v, %v", err, entries, readErr)
		}
		return
	}
	wantError(t, err, broker.ErrDir, inside, "permission denied", "--data")
}

func TestBroker_ReturnsWhatNATSCallsFatal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := newBroker(t, broker.Config{Dir: dir})
	if err := os.WriteFile(filepath.Join(dir, "jetstream"), nil, 0o600); err != nil { // where a directory must be
		t.Fatal(err)
	}
	wantError(t, b.Run(testContext(t)), broker.ErrStart, "JetStream")
	startBroker(t, broker.Config{Dir: t.TempDir()}) // and nothing of it is in the way
}

func TestBroker_NamesThePortThatIsTaken(t *testing.T) {
	t.Parallel()
	taken := takePort(t)
	number := fmt.Sprint("port ", taken)
	_, err := broker.New(broker.Config{Port: taken, LeafPort: -1})
	wantError(t, err, broker.ErrPort, number, "--nats-port")
	_, err = broker.New(broker.Config{Port: -1, LeafPort: taken})
	wantError(t, err, broker.ErrPort, number, "--leaf-port")
}

func TestBroker_NamesAPortTakenAfterNew(t *testing.T) {
	t.Parallel()
	var b *broker.Broker
	var port int
	eventually(t, "a port that is free for New and ours after it", func() bool {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port = l.Addr().(*net.TCPAddr).Port
		l.Close()
		if b, err = broker.New(broker.Config{Port: port, LeafPort: -1}); err != nil {
			return false
		}
		l, err = net.Listen("tcp", fmt.Sprint("127.0.0.1:", port))
		if err == nil {
			t.Cleanup(func() { l.Close() })
		}
		return err == nil
	})
	wantError(t, b.Run(testContext(t)), broker.ErrPort, fmt.Sprint("port ", port), "--nats-port")
}

// nats-server without options listens on all interfaces, and asks nobody who he is.
func TestTrap_NoHostMeansThisMachineAlone(t *testing.T) {
	t.Parallel()
	b := startBroker(t, broker.Config{})
	for what, address := range map[string]string{"clients": b.ClientURL(), "leafs": b.LeafURL(), "a leaf's clients": startLeaf(t, agentName, b.LeafURL()).ClientURL()} {
		u, err := url.Parse(address)
		if err != nil || u.Hostname() != "127.0.0.1" {
			t.Errorf("%s connect to %s, %v", what, address, err)
			continue
		}
		// By another address of loopback nobody is there.
		if conn, err := net.Dial("tcp", "127.0.0.2:"+u.Port()); err == nil {
			conn.Close()
			t.Errorf("%s are served at 127.0.0.2 too", what)
		}
	}
}

func TestBroker_RefusesOpenListenWithoutInsecure(t *testing.T) {
	t.Parallel()
	for _, cfg := range []broker.Config{
		{Host: "0.0.0.0"}, {Host: "::"}, {Host: "192.0.2.1"}, {Host: "example.org"}, {LeafHost: "0.0.0.0"},
	} {
		cfg.Port, cfg.LeafPort = -1, -1
		_, err := broker.New(cfg)
		wantError(t, err, broker.ErrOpenListen, "--insecure", "user and password")
	}
}

func TestBroker_ListensOpenlyWhenAllowed(t *testing.T) {
	t.Parallel()
	for _, cfg := range []broker.Config{{Host: "0.0.0.0", Insecure: true}, {Host: "0.0.0.0", User: "u", Password: "p"}} {
		b := startBroker(t, cfg)
		nc, err := nats.Connect(b.ClientURL(), nats.UserInfo("u", "p"))
		if err != nil {
			t.Fatalf("%s: %v", b.ClientURL(), err)
		}
		nc.Close()
	}
}

func TestBroker_AsksForTheLogin(t *testing.T) {
	t.Parallel()
	b := startBroker(t, broker.Config{User: "u", Password: "secret"})
	if _, err := nats.Connect(b.ClientURL()); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("without login: %v", err)
	}
	flush(t, connect(t, b)) // knows it
	if strings.Contains(b.ClientURL()+b.LeafURL(), "secret") {
		t.Error("a URL holds the password")
	}

	startLeaf(t, "knows", strings.Replace(b.LeafURL(), "://", "://u:secret@", 1))
}

func TestConfig_ErrorsNameTheField(t *testing.T) {
	t.Parallel()
	for field, cfg := range map[string]broker.Config{
		"Name":       {Name: "two words"},
		"Port":       {Port: 70000},
		"LeafPort":   {LeafPort: -2},
		"Domain":     {Domain: "a.b"},
		"User":       {User: "u"},
		"Password":   {Password: "p"},
		"bcrypt":     {User: "u", Password: "$2a$11$abcdefghijklmnopqrstuv"},
		"Sync":       {Sync: -time.Second},
		"use 1ms":    {Sync: time.Millisecond - 1},
		"SyncAlways": {Sync: 2 * broker.SyncAlways},
		"MaxPayload": {MaxPayload: -1},
		"67108864":   {MaxPayload: 100 << 20},
		"host":       {Host: "[::1]"},
		"both 4000":  {Port: 4000, LeafPort: 4000},
	} {
		_, err := broker.New(cfg)
		wantError(t, err, broker.ErrConfig, field)
	}
}
