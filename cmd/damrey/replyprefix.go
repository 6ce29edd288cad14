package main

import (
	"strings"

	"github.com/spf13/pflag"
)

// replyPrefixes are what reply subjects may begin with, besides those of inboxes as NATS makes them.
type replyPrefixes []string

func (r *replyPrefixes) add(flags *pflag.FlagSet) {
	flags.StringArrayVar((*[]string)(r), "reply-prefix", nil,
		"answer to reply subjects that begin with this `TEXT` too, for clients with an inbox prefix of their own; may be repeated")
}

// check refuses what would let somebody have answers written where they do harm: everywhere, into the broker's own subjects
// or into the fabric's.
func (r replyPrefixes) check(fabric string) error {
	fabric += "."
	for _, prefix := range r {
		switch {
		case strings.ContainsAny(prefix, "*> \t\r\n"):
			return usageError("--reply-prefix %q holds a wildcard or white space; give what the subjects begin with, such as my.inbox.", prefix)
		case strings.HasPrefix(prefix, "$"):
			return usageError("--reply-prefix %q: subjects that begin with $ are NATS's own", prefix)
		case strings.HasPrefix(fabric, prefix), strings.HasPrefix(prefix, fabric):
			return usageError("--reply-prefix %q: subjects under %s are the fabric's own", prefix, fabric)
		}
	}
	return nil
}
