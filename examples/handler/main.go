// Command handler is a worker of one handler: it answers "hello NAME".
package main

import (
	"context"
	"os"

	"github.com/rs/zerolog"

	"github.com/damrey/damrey"
)

func main() {
	w := damrey.New(damrey.Config{Name: "greeter"}, zerolog.New(os.Stderr))
	w.Handle("greet", func(_ context.Context, in damrey.Msg) (damrey.Msg, error) {
		return damrey.Reply("hello " + in.Arg(0)), nil
	})
	w.Run()
}
