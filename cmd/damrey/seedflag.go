package main

import "strings"

// rewriteSeedFlags lets `damrey agent` take the original agent's -pr, which POSIX flags read as -p with the value "r".
func rewriteSeedFlags(args []string) []string {
	if len(args) == 0 || args[0] != "agent" {
		return args
	}
	out := make([]string, len(args))
	for i, arg := range args {
		switch {
		case arg == "-pr":
			arg = "--proxy"
		case strings.HasPrefix(arg, "-pr="):
			arg = "--proxy=" + strings.TrimPrefix(arg, "-pr=")
		}
		out[i] = arg
	}
	return out
}
