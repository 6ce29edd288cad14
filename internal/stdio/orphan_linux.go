package stdio

import "syscall"

// dieWithParent has the kernel end the program when this process was killed, so that there are not two of it when a
// supervisor starts us again.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
