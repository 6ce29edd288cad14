package chaos

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"unsafe"
)

// dieWithParent has the kernel end the process when this one was killed, so that nothing stays behind.
func dieWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

func freezeProcess(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }
func thawProcess(p *os.Process) error   { return p.Signal(syscall.SIGCONT) }

// limitFiles sets how large a file the process may write.
func limitFiles(p *os.Process, bytes uint64) error {
	limit := syscall.Rlimit{Cur: bytes, Max: ^uint64(0)}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(p.Pid), syscall.RLIMIT_FSIZE,
		uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("limit the files of process %d: %w", p.Pid, errno)
	}
	return nil
}
