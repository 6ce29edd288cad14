package stdio_test

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/damrey/damrey/internal/wire"
)

// TestMain lets the test binary be the program of a pool.
func TestMain(m *testing.M) {
	if os.Getenv("STDIO_TEST_PROGRAM") != "" {
		os.Exit(program())
	}
	goleak.VerifyTestMain(m)
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
