// Package stdio lets any program work on messages through its standard streams: one message a line on stdin, its answer
// one line on stdout, what it writes to stderr goes to the log.
//
// Answers carry no sign of the message they belong to, so their order is all there is: a process has one message at a
// time, and one that writes a line nobody asked for, or does not answer in time, is ended and started anew.
package stdio
