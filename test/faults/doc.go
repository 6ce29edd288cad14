// Package faults breaks a fabric of real processes in every way that we know
// and looks at what its users see: every request gets exactly one answer by its
// deadline, nothing runs twice, no send vanishes without a count, and every
// process recovers by itself and holds no more goroutines, memory and files than
// before.
//
// The quick faults run with every `go test ./...`. All of them run with
// `make faults`, or with FAULTS=all in the environment; each then is a subtest
// of TestFault_All. Tables at the end say what was sent, how it was answered,
// how long recovery took, and what every process held before and after; -v shows
// them.
//
// The suite needs Linux: it freezes processes, limits their file descriptors
// and reads /proc.
package faults
