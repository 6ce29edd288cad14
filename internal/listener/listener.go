// Package listener says who of those that subscribe to messages of direct routes has no business there.
package listener

import "strings"

// Messages is the pattern of all messages of a fabric's direct routes: damrey.msg.<to>.<type>.<from>.
func Messages(prefix string) string { return prefix + ".msg.*.*.*" }

// Takes says whether a subject or pattern takes messages to a worker; "*" is any.
func Takes(prefix, subject, worker string) bool {
	tokens := strings.Split(subject, ".")
	for i, want := range []string{prefix, "msg", worker, "*", "*"} {
		switch {
		case i >= len(tokens):
			return false
		case tokens[i] == ">":
			return true
		case tokens[i] != "*" && want != "*" && tokens[i] != want:
			return false
		}
	}
	return len(tokens) == 5
}

// Worker is the only one whose messages a pattern takes; empty when it takes those of all. The pattern takes some.
func Worker(subject string) string {
	tokens := strings.Split(subject, ".")
	if len(tokens) < 3 || tokens[2] == "*" || tokens[2] == ">" {
		return ""
	}
	return tokens[2]
}

// Rightful says whether a subscription that takes messages is an instance's, or that of a worker without the library: in the
// queue group of the one worker whose messages it takes. Any other makes NATS believe that there is somebody who takes a
// message, though no worker does.
func Rightful(prefix, subject, queue string) bool {
	return queue != "" && Worker(subject) == queue && strings.HasPrefix(subject, prefix+".msg.")
}
