//go:build unix

package stdio

import (
	"os/exec"
	"syscall"
)

// ownGroup makes the process the head of a group, so that what it starts ends with it, and so that Ctrl-C on a terminal
// reaches it only through us.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(cmd.SysProcAttr)
}

// terminate asks the group to end. An error means that it is gone.
func terminate(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }

// kill ends the group. An error means that it is gone.
func kill(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
