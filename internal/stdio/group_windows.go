package stdio

import (
	"os/exec"
	"syscall"
)

// ownGroup keeps Ctrl-C on a terminal from reaching the process but through us.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// terminate leaves it to the end of its input that the process ends: there is no signal to ask with.
func terminate(*exec.Cmd) {}

// kill ends the process. An error means that it is gone.
func kill(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
