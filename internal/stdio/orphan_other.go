//go:build unix && !linux

package stdio

import "syscall"

// dieWithParent is for Linux: elsewhere nobody ends a program whose parent was killed.
func dieWithParent(*syscall.SysProcAttr) {}
