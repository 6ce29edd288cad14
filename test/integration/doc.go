// Package integration runs the examples as a newcomer does: real processes,
// real NATS, the scripts and commands that the READMEs name.
package integration
