package stdio_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/stdio"
	"github.com/damrey/damrey/internal/wire"
)

// TestMain lets the test binary be the program of a pool.
func TestMain(m *testing.M) {
	if os.Getenv("STDIO_TEST_PARENT") != "" {
		parent()
	}
	if os.Getenv("STDIO_TEST_PROGRAM") != "" {
		os.Exit(program())
	}
	goleak.VerifyTestMain(m)
}

// parent runs a pool of one program until it is killed, and prints the program's process id.
func parent() {
	_ = os.Unsetenv("STDIO_TEST_PARENT")
	_ = os.Setenv("STDIO_TEST_PROGRAM", "1")
	pool, err := stdio.New(stdio.Config{Argv: []string{os.Args[0]}, Procs: 1})
	if err != nil {
		panic(err)
	}
	go func() { panic(pool.Run(context.Background())) }()
	msg, err := pool.Do(context.Background(), damrey.NewRequest("pid"))
	if err != nil {
		panic(err)
	}
	fmt.Println(msg.Arg(0))
	// Blocks: the program is in the middle of a message when its parent is killed.
	_, err = pool.Do(context.Background(), damrey.NewRequest("hang"))
	panic(err)
}

// program does what the type of each message says. Its arguments are in the message.
func program() int {
	fmt.Fprintln(os.Stderr, "program begins")
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		msg, err := wire.Decode(lines.Bytes())
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 9
		}
		arg := strings.Join(msg[2:], " ")
		switch msg[1] {
		case "echo":
			fmt.Println(arg)
		case "pid":
			fmt.Println(os.Getpid())
		case "twice":
			fmt.Print(arg + "\nagain\n")
		case "mute":
			_ = os.Stdout.Close()
		case "hang":
			time.Sleep(time.Hour)
		case "die":
			return 3
		case "unended":
			fmt.Print(arg)
			return 0
		case "stubborn":
			ignoreTerm()
			fmt.Println("ok")
			time.Sleep(time.Hour)
		}
	}
	return 0
}
