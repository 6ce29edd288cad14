package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/listener"
	"github.com/damrey/damrey/internal/shell"
)

// namedListeners is how many of those that subscribe alike are named.
const namedListeners = 8

// checkListeners looks for whoever subscribes to messages and is no worker: the broker says of a message to a worker that is
// gone that somebody took it. A worker that there is not is asked too, since not everybody can be asked who subscribes.
func checkListeners(ctx context.Context, d *doctor) ([]finding, error) {
	a, err := d.audience(ctx)
	if err != nil {
		return nil, err
	}
	found := append(d.foreign(a.foreign), a.unheard...)
	if a.more > 0 {
		found = append(found, finding{Severity: note, Where: "the broker",
			What: fmt.Sprintf("%d subscriptions to messages were left out: there are too many to look at all", a.more),
			Do:   "nats server request connections --subscriptions", Hint: "with a login of the system account shows all"})
	}
	if !a.known {
		found = append(found, finding{Severity: note, Where: d.nc.ConnectedUrlRedacted(),
			What: "neither a proxy nor a server tells who subscribes to messages: somebody who does so for some workers only is not found, and a worker without the library is not seen",
			Do:   "nats server request connections --subscriptions", Hint: "with a login of the system account shows who"})
	}
	nobody := "nobody-" + nuid.Next()
	taken, err := d.taken(ctx, nobody)
	if err != nil {
		return found, err
	}
	if explained := slices.ContainsFunc(a.foreign, func(l api.Listener) bool { return listener.Takes(d.prefix, l.Subject, nobody) }); taken && !explained {
		found = append(found, finding{Severity: failure, Where: "somebody", What: fmt.Sprintf("subscribes to all of %s.msg%s", d.prefix, hidesAll),
			Do: "nats server request connections --subscriptions", Hint: "with a login of the system account shows who; end it, and use `damrey tap` to look at messages"})
	}
	return found, nil
}

// taken asks a worker that there is not.
func (d *doctor) taken(ctx context.Context, nobody string) (bool, error) {
	asking, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := d.nc.RequestWithContext(asking, d.prefix+".msg."+nobody+".probe.probe", nil)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return false, nil
	case err != nil && !errors.Is(err, context.DeadlineExceeded):
		return false, err
	}
	return true, ctx.Err()
}

const hidesAll = ": a worker that is gone is not seen to be gone, so requests to it end with TIMEOUT in place of STOP, and sends to it vanish"

// foreign has one finding for all that subscribe alike.
func (d *doctor) foreign(all []api.Listener) (found []finding) {
	type kind struct{ subject, queue string }
	var kinds []kind
	by := make(map[kind][]api.Listener)
	for _, l := range all {
		k := kind{l.Subject, l.Queue}
		if by[k] == nil {
			kinds = append(kinds, k)
		}
		by[k] = append(by[k], l)
	}
	for _, k := range kinds {
		found = append(found, d.alike(by[k]))
	}
	return found
}

func (d *doctor) alike(all []api.Listener) finding {
	l := all[0]
	f := finding{Severity: failure, Where: listenersText(all)}
	group := "without a queue group"
	if l.Queue != "" {
		group = fmt.Sprintf("in the queue group %s, which is not that of one worker", l.Queue)
	}
	hides, does, mended := hidesAll, "damrey tap '*'", ""
	if l.Worker != "" {
		hides = fmt.Sprintf(": when no instance of %[1]s is there it takes what goes to %[1]s, so requests end with TIMEOUT in place of STOP, and sends vanish", l.Worker)
	}
	if damrey.CheckWorkerName(l.Worker) == nil {
		does = "damrey tap '*' --to " + shell.Word(l.Worker)
		mended = fmt.Sprintf("; a worker without the library subscribes %s.msg.%s.*.* in the queue group %[2]s", d.prefix, l.Worker)
	}
	f.What = fmt.Sprintf("subscribes to %s %s%s", l.Subject, group, hides)
	f.Do, f.Hint = does, "shows the messages and hides nobody, so end that subscription"+mended
	if i := slices.IndexFunc(all, func(l api.Listener) bool { return l.Agent != "" }); i >= 0 && damrey.CheckAgentName(all[i].Agent) == nil {
		f.Hint += fmt.Sprintf("; `damrey doctor --nats nats://%s` says who it is", all[i].Agent)
	}
	return f
}

func listenersText(all []api.Listener) string {
	var names []string
	for _, l := range all[:min(len(all), namedListeners)] {
		names = append(names, listenerText(l))
	}
	text := strings.Join(names, "; ")
	if left := len(all) - len(names); left > 0 {
		text += fmt.Sprintf("; and %d more", left)
	}
	return text
}
