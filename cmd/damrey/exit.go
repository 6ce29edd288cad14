package main

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey/internal/api"
)

// Exit codes, as the help of the root command has them.
const (
	exitOK          = 0
	exitFailed      = 1   // everything that has no code of its own
	exitUsage       = 2   // a wrong call: nothing was tried
	exitUndelivered = 5   // STOP or TIMEOUT: nobody took the message, or nobody answered in time
	exitAnswered    = 6   // ERROR: somebody answered that it failed
	exitForced      = 130 // the second Ctrl-C
)

// codeError is an error that ends the process with a code of its own.
type codeError struct {
	code int
	err  error
}

func (e *codeError) Error() string {
	if e.err == nil { // all was said already
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}
func (e *codeError) Unwrap() error { return e.err }

func usageError(format string, args ...any) error {
	return &codeError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// finish prints what went wrong, and what to type next after a wrong call, and returns the exit code.
func (a *app) finish(cmd *cobra.Command, err error) int {
	if err == nil {
		return exitOK
	}
	code := exitFailed
	if coded, ok := errors.AsType[*codeError](err); ok {
		code = coded.code
		if coded.err == nil {
			return code
		}
	} else if refused, ok := errors.AsType[*api.Error](err); !a.running || ok && refused.Status == http.StatusUnprocessableEntity {
		code = exitUsage // so it is when the proxy finds it out
	}
	for _, line := range errorLines(err) {
		fmt.Fprintln(a.stderr, "damrey: "+line)
	}
	if code == exitUsage {
		fmt.Fprintf(a.stderr, "Type `%s --help` for what it takes.\n", cmd.CommandPath())
		if own, err := strconv.Atoi(cmd.Annotations[usageCode]); err == nil {
			return own
		}
	}
	return code
}

// errorLines are the lines of an error, without the name of the package that it comes from.
func errorLines(err error) []string {
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	for i, line := range lines {
		for _, room := range []string{"damrey: ", "broker: ", "agentd: "} {
			line = strings.TrimPrefix(line, room)
		}
		lines[i] = line
	}
	return lines
}
