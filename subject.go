package damrey

import (
	"fmt"
	"strconv"
	"strings"
)

// Subjects that the parts of a fabric agree on. A worker's own traffic is on
// <prefix>.msg.<to>.<type>.<from>: the route's identity is the subject.

func messageSubject(prefix, to, typ, from string) string {
	return prefix + ".msg." + to + "." + typ + "." + from
}

// inboundSubject is what the instances of a worker subscribe, in the queue
// group of the worker's name.
func inboundSubject(prefix, worker string) string {
	return prefix + ".msg." + worker + ".*.*"
}

// jobSubject is where messages of a durable route are stored.
func jobSubject(prefix, to, typ, from string) string {
	return prefix + ".job." + to + "." + typ + "." + from
}

// heldSubject is where messages of a durable route are stored while it is
// paused. One more token tells them apart.
func heldSubject(prefix, to, typ, from string) string {
	return prefix + ".held." + to + "." + typ + "." + from
}

// DeadSubject is where a message goes that failed too often. To find several,
// each name may be "*".
func DeadSubject(prefix, to, typ, from string) string {
	return prefix + ".dead." + to + "." + typ + "." + from
}

// idSubject is where it is kept that an application's id was used for a worker.
func idSubject(prefix, to, digest string) string { return prefix + ".id." + to + "." + digest }

// crewSubject is where an instance tells those that it shares partitions with
// that it is there.
func crewSubject(prefix, worker, instance string) string {
	return prefix + ".crew." + worker + "." + instance
}

// triedSubject is where the failures of one stored message are kept.
func triedSubject(prefix, to string, sequence uint64) string {
	return prefix + ".tried." + to + "." + strconv.FormatUint(sequence, 10)
}

// LaterSubject is where a message waits that is to be sent later.
func LaterSubject(prefix, key string) string { return prefix + ".later." + key }

// DueSubject is where it comes when it is due. Its route is looked up only then,
// so the target is not in it.
func DueSubject(prefix, typ, from, key string) string {
	return prefix + ".due." + typ + "." + from + "." + key
}

// FiringSubject is where it is kept how a schedule's last time went. Here and
// for the failures of what is due, a token that is no worker's name stands
// where a worker does.
func FiringSubject(prefix, key string) string { return prefix + ".tried.$later." + key }

// dueToken stands for the target in [triedSubject] while there is none.
const dueToken = "$due"

// JobsSubject is where the proxy tells that a worker's stream of jobs is there.
func JobsSubject(prefix, worker string) string { return prefix + ".event.jobs." + worker }

// OutSubject is where a program without the library publishes its output of
// one type, for the bridge to route.
func OutSubject(prefix, from, typ string) string {
	return prefix + ".out." + from + "." + typ
}

// LocalRowSubject is where an agent answers a request with its copy of one
// worker's row, as a [LocalRow].
func LocalRowSubject(prefix, worker string) string {
	return prefix + ".local.row." + worker
}

// UplinkSubject is where an agent tells its local instances that its link to
// the broker came ("up") or went ("down").
func UplinkSubject(prefix string) string { return prefix + ".local.uplink" }

func undeliveredSubject(prefix string, r Route) string {
	return prefix + ".event.undelivered." + r.To + "." + r.Type + "." + r.From
}

// LocalRow is an agent's answer on [LocalRowSubject]. Found is false when the
// agent's table has no such worker. Stale says that the agent's uplink is down.
type LocalRow struct {
	Found    bool   `json:"found"`
	Stale    bool   `json:"stale"`
	Revision uint64 `json:"revision,omitempty"`
	Row      []byte `json:"row,omitempty"`
}

// parseMessageSubject takes type and from off a subject of inboundSubject,
// whose fixed part has n bytes. The error names the token that is no name; that
// one is empty then.
func parseMessageSubject(subject string, n int) (typ, from string, err error) {
	typ, from, _ = strings.Cut(subject[min(n, len(subject)):], ".")
	if wrong := checkTokenOf(subject, "worker", from); wrong != nil {
		from, err = "", wrong
	}
	if wrong := checkTokenOf(subject, "type", typ); wrong != nil {
		typ, err = "", wrong
	}
	return typ, from, err
}

// parseOutSubject takes from and type off <prefix>.out.<from>.<type>. The
// error names the token that is no name.
func parseOutSubject(prefix, subject string) (from, typ string, err error) {
	rest, ok := strings.CutPrefix(subject, prefix+".out.")
	if !ok {
		return "", "", fmt.Errorf("subject %q is not %s", clip(subject), OutSubject(prefix, "<from>", "<type>"))
	}
	from, typ, _ = strings.Cut(rest, ".")
	if err := checkTokenOf(subject, "worker", from); err != nil {
		return "", "", err
	}
	if err := checkTokenOf(subject, "type", typ); err != nil {
		return "", "", err
	}
	return from, typ, nil
}

// checkTokenOf says of a subject's token, which is to name a worker or a type,
// whether it does.
func checkTokenOf(subject, what, token string) error {
	if err := CheckName(token); err != nil {
		return fmt.Errorf("%s in subject %q: %w", what, clip(subject), err)
	}
	return nil
}
