//go:build unix

package stdio_test

import (
	"os/signal"
	"syscall"
)

// ignoreTerm makes this process outlive the question to end.
func ignoreTerm() { signal.Ignore(syscall.SIGTERM) }
