// Package snapshot copies the streams of a fabric into a file and back, by JetStream's own snapshots: they keep
// sequences, times and headers. Consumers are made anew.
package snapshot
