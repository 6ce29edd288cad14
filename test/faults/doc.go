// Package faults breaks a fabric of real processes in every way that we know
// and looks at what its users see: every request gets exactly one answer by its
// deadline, nothing runs twice, no send vanishes without a count, and every
// process recovers by itself.
//
// The quick faults run with every `go test ./...`. All of them run with
// `make faults`, or with FAULTS=all in the environment; each then is a subtest
// of TestFault_All. A table at the end says what was sent, how it was answered
// and how long recovery took; -v shows it.
//
// The suite needs Linux: it freezes processes, limits their file descriptors
// and reads /proc.
package faults
