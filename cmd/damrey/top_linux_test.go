package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal: what a person types and sees, and what the program has.
type terminal struct {
	person *os.File

	mu   sync.Mutex // guards seen
	seen strings.Builder
}

// onTerminal starts a program there.
func onTerminal(t *testing.T, env []string, args ...string) (*terminal, *exec.Cmd) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	fd := int(person.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	program, err := os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	program.Close()
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // fails only when it has ended
	term := &terminal{person: person}
	go term.watch()
	return term, cmd
}

func (term *terminal) watch() {
	for part := make([]byte, 4096); ; {
		n, err := term.person.Read(part)
		if err != nil {
			return // the program has ended
		}
		term.mu.Lock()
		term.seen.Write(part[:n])
		term.mu.Unlock()
	}
}

func (term *terminal) screen() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.seen.String()
}

// awaits polls until a text was drawn.
func (term *terminal) awaits(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(bound); !strings.Contains(term.screen(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never drawn: %q in %q", text, term.screen())
		}
	}
}

func (term *terminal) types(t *testing.T, keys string) {
	t.Helper()
	if _, err := term.person.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

func TestTop_OnATerminal(t *testing.T) {
	t.Parallel()
	srv := serveSeen()
	t.Cleanup(srv.Close)
	term, cmd := onTerminal(t, []string{"DAMREY_PROXY=" + srv.URL}, "damrey", "top")
	term.awaits(t, "by what fails first")
	term.awaits(t, "\x1b[31mfailing: no instance is there")
	term.types(t, "ss")
	term.awaits(t, "by health")
	term.types(t, "/gho\r")
	term.awaits(t, "filter: gho_")
	term.awaits(t, "filter: gho · 0")
	term.types(t, "q")
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %q", err, term.screen())
	}
	term.awaits(t, "\x1b[?25h") // the cursor comes back; what was written last is still on its way
	plain := strings.NewReplacer("\x1b[31m", "", "\x1b[33m", "", "\x1b[0m", "", "\x1b[K", "", "\x1b[H", "\r\n", "\x1b[J", "", "\x1b[?25l", "", "\x1b[?25h", "").Replace(term.screen())
	for line := range strings.SplitSeq(plain, "\r\n") {
		if n := len([]rune(line)); n > 80 {
			t.Errorf("%d columns: %q", n, line)
		}
	}
}

func TestTop_WithoutColor(t *testing.T) {
	t.Parallel()
	srv := serveSeen()
	t.Cleanup(srv.Close)
	term, cmd := onTerminal(t, []string{"NO_COLOR=1"}, "damrey", "top", "--proxy", srv.URL)
	term.awaits(t, "failing: no instance is there")
	term.types(t, "\x03")
	if err := cmd.Wait(); err != nil || strings.Contains(term.screen(), "\x1b[31m") {
		t.Errorf("%v: %q", err, term.screen())
	}
}

// A proxy that goes away for a while is said, and the table comes back with it.
func TestTop_GoesOnWithoutItsProxy(t *testing.T) {
	t.Parallel()
	srv := serveSeen()
	term, cmd := onTerminal(t, nil, "damrey", "top", "routes", "--proxy", srv.URL)
	term.awaits(t, "nobody takes them")
	srv.Close()
	term.awaits(t, "cannot reach the proxy")
	term.types(t, "q")
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %q", err, term.screen())
	}
}
