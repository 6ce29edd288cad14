package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "write the golden files of the help texts anew")

// bound is how long a script waits for what must come.
const bound = 60 * time.Second

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"damrey": main, "lines": lines, "stubborn": stubborn})
}

// lines is a program for `damrey worker run`: it does what the first argument of each message says.
func lines() {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		switch text := in.Text(); {
		case strings.Contains(text, `"die"`):
			fmt.Fprintln(os.Stderr, "about to die")
			os.Exit(7)
		case strings.Contains(text, `"hang"`):
			time.Sleep(time.Hour)
		case strings.Contains(text, `"slowly"`):
			time.Sleep(3 * quiet)
			fmt.Println(`["RESPONSE",""]`)
		case strings.Contains(text, `"nothing"`):
			fmt.Println()
		case strings.Contains(text, `"fail"`):
			fmt.Println(`["ERROR","","it went wrong","detail"]`)
		case strings.Contains(text, `"forward"`):
			fmt.Println(`["REQUEST","next","handed on"]`)
		default:
			fmt.Println("got " + text)
		}
	}
}

// stubborn is a program that never answers and does not end when it is asked to.
func stubborn() {
	signal.Ignore(syscall.SIGTERM)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Fprintf(os.Stderr, "in hand of %d\n", os.Getpid())
		time.Sleep(time.Hour)
	}
	time.Sleep(time.Hour)
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"daemon": daemon, "end": end, "until": until, "code": code, "capture": capture, "viewserver": viewServer,
			"barenats": bareNATS, "plainnats": plainNATS, "oldnats": oldNATS, "portof": portOf, "streams": streams, "store": store, "stock": stock, "utf": utf, "large": large,
		},
	})
}

// envKey is where a script keeps the environment that it began with, for its daemons.
type envKey struct{}

// setup keeps what this machine has configured out of the scripts.
func setup(env *testscript.Env) error {
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("XDG_DATA_HOME", filepath.Join(env.WorkDir, "data"))
	env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, "config"))
	env.Setenv("GORACE", "atexit_sleep_ms=10") // a process with the race detector would sleep a second at its end
	env.Values[envKey{}] = env.Vars
	env.Values[daemonsKey{}] = make(map[string]*running)
	return nil
}
