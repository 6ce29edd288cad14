//go:build unix

package stdio_test

import (
	"os/signal"
	"syscall"
	"time"
)

// stubborn makes this process outlive the end of its input and SIGTERM.
func stubborn() {
	signal.Ignore(syscall.SIGTERM)
	go func() { time.Sleep(time.Hour) }()
}
