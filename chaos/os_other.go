//go:build !linux

package chaos

import (
	"errors"
	"os"
	"os/exec"
)

// Config.Check has refused to run here.
var errNotHere = errors.New("chaos: only on Linux")

func dieWithParent(*exec.Cmd)                  {}
func freezeProcess(*os.Process) error          { return errNotHere }
func thawProcess(*os.Process) error            { return errNotHere }
func limitFiles(_ *os.Process, _ uint64) error { return errNotHere }
