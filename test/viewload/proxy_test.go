//go:build unix

package viewload

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/damrey/damrey/proxyd"
)

// brokerVariable makes this test program a proxy of the broker at that URL.
const brokerVariable = "DAMREY_VIEWLOAD_BROKER"

func TestMain(m *testing.M) {
	if url := os.Getenv(brokerVariable); url != "" {
		if err := runProxy(url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// usage is what the proxy's process has used.
type usage struct {
	URL string
	CPU time.Duration
	// Peak is the most memory that was resident, in bytes.
	Peak int64
}

// runProxy answers every line on stdin with its usage, and ends with it.
func runProxy(broker string) error {
	nc, err := nats.Connect(broker)
	if err != nil {
		return err
	}
	defer nc.Close()
	p, err := proxyd.New(nc, proxyd.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	select {
	case <-p.Ready():
	case err := <-ended:
		return err
	}
	out := json.NewEncoder(os.Stdout)
	for line := make([]byte, 1); ; {
		var used syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
			return err
		}
		peak := used.Maxrss // bytes on macOS, KiB elsewhere
		if runtime.GOOS != "darwin" {
			peak <<= 10
		}
		cpu := time.Duration(used.Utime.Nano() + used.Stime.Nano())
		if err := out.Encode(usage{URL: p.URL(), CPU: cpu, Peak: peak}); err != nil {
			return err
		}
		if _, err := os.Stdin.Read(line); err != nil {
			cancel()
			return <-ended
		}
	}
}

// proxy is the process.
type proxy struct {
	t    *testing.T
	ask  io.Writer
	told *json.Decoder
}

func startProxy(t *testing.T, broker string) *proxy {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), brokerVariable+"="+broker)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait() // what it has to say is on stderr
	})
	return &proxy{t: t, ask: in, told: json.NewDecoder(out)}
}

// usage reads what it says next.
func (p *proxy) usage() (u usage) {
	p.t.Helper()
	if err := p.told.Decode(&u); err != nil {
		p.t.Fatal(err)
	}
	return u
}

func (p *proxy) usageNow() usage {
	p.t.Helper()
	if _, err := p.ask.Write([]byte("\n")); err != nil {
		p.t.Fatal(err)
	}
	return p.usage()
}
