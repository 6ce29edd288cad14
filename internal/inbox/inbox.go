// Package inbox says which reply subjects may be answered to.
package inbox

import (
	"strings"

	"github.com/nats-io/nats.go"
)

// longest reply subject that is answered to. With a longer one a forwarded message could pass max_control_line, over which
// the server closes the connection.
const longest = 1024

// Prefixes begin the subjects that may be answered to.
type Prefixes []string

// Of a connection: those of inboxes as NATS makes them, of the connection's own, and more.
func Of(nc *nats.Conn, more []string) Prefixes {
	own := nc.NewInbox()
	return append(Prefixes{own[:strings.LastIndexByte(own, '.')+1], nats.InboxPrefix}, more...)
}

// Has says whether the subject is an inbox: answers go to those only, so that nobody can have them written somewhere else,
// such as into the routing table, by naming it as the reply subject.
func (p Prefixes) Has(subject string) bool {
	if len(subject) > longest {
		return false
	}
	for _, begin := range p {
		if strings.HasPrefix(subject, begin) {
			return true
		}
	}
	return false
}
