package main

import (
	"io"

	"github.com/rs/zerolog"
)

// app is what every verb has: the streams of the process, and what the global flags made of them.
type app struct {
	stdin  io.Reader
	stdout io.Writer // data only
	stderr io.Writer // logs and errors
	lookup func(name string) (string, bool)

	logging logFlags
	log     zerolog.Logger // set before a verb runs
	fromEnv []string       // the flags that were set from their variables
	running bool           // a verb has begun; what fails before is a wrong call
}
