package broker_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/damrey/damrey/broker"
)

// holdEnv makes this test program a broker on the directory it names, so that tests have another process.
const holdEnv = "DAMREY_TEST_HOLD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(holdEnv); dir != "" {
		if err := hold(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// hold runs a broker until standard input ends, and writes its URL in a line when it is ready. It forces nothing to the
// disk within a test, so that what it keeps when it is killed was written before.
func hold(dir string) error {
	b, err := broker.New(broker.Config{Port: -1, LeafPort: -1, Dir: dir, Sync: time.Hour})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	go func() {
		<-b.Ready()
		fmt.Println(b.ClientURL())
	}()
	return b.Run(ctx)
}
