package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey/internal/api"
)

const eventsHelp = `Follow what happens: instances and agents that come and go, changes of the table, messages that nobody
took, alarms. After a break it goes on where it was; an event gap says
so when something may be missing.

  damrey events
  damrey events --kind instance.lost,alarm.firing
  damrey events --since 15m --count 20 -o json

Kinds: `

// eventKinds are those that there are.
var eventKinds = []api.EventKind{
	api.EventInstanceJoined, api.EventInstanceLeft, api.EventInstanceLost, api.EventInstanceState,
	api.EventAgentJoined, api.EventAgentLeft, api.EventAgentLost, api.EventTableChanged, api.EventUndelivered,
	api.EventAlarmFiring, api.EventAlarmResolved, api.EventBeatRefused, api.EventGap,
}

type eventsFlags struct {
	proxy proxyFlag
	kinds []string
	since moment
	count int
	out   output
}

func newEventsCommand(a *app) *cobra.Command {
	var f eventsFlags
	names := make([]string, len(eventKinds))
	for i, kind := range eventKinds {
		names[i] = string(kind)
	}
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Follow what happens in the network",
		Long:  eventsHelp + strings.Join(names[:7], ", ") + ",\n" + strings.Join(names[7:], ", ") + "; instance stands for all that begin so.",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return f.proxy.with(func(client *api.Client) error { return a.runEvents(cmd.Context(), client, &f) })
		},
	}
	f.proxy.add(cmd)
	flags := cmd.Flags()
	flags.StringSliceVar(&f.kinds, "kind", nil, "only events of these `KINDS`, separated by commas (default: all)")
	flags.Var(&f.since, "since", "not what was before this `TIME`: 1h30m ago, or 2026-01-02T15:04:05Z (default: only what happens from now on)")
	flags.IntVar(&f.count, "count", 0, "end after this many; 0 goes on until Ctrl-C")
	inRange(flags, "count", "0 or more")
	f.out.add(cmd, "text")
	_ = cmd.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp)) // fails only for a flag that is not there
	return cmd
}

func (f *eventsFlags) check() error {
	if f.count < 0 {
		return usageError("--count %d; use 0 or more", f.count)
	}
	for _, kind := range f.kinds {
		if !slices.ContainsFunc(eventKinds, func(k api.EventKind) bool { return isOfKind(k, kind) }) {
			return usageError("--kind %q is none of the kinds that the help lists", kind)
		}
	}
	return nil
}

// isOfKind: instance stands for instance.joined and the others.
func isOfKind(k api.EventKind, wanted string) bool {
	return string(k) == wanted || strings.HasPrefix(string(k), wanted+".")
}

func (f *eventsFlags) wants(e api.Event, since time.Time) bool {
	if e.Kind == api.EventGap {
		return true // or one would take for silence what was lost
	}
	if !since.IsZero() && e.At.Before(since) {
		return false
	}
	return len(f.kinds) == 0 || slices.ContainsFunc(f.kinds, func(kind string) bool { return isOfKind(e.Kind, kind) })
}

const brokeEarly = "the connection broke before the first event; of what happened meanwhile, what the proxy remembers follows"

const (
	firstAgain = 250 * time.Millisecond
	lastAgain  = 5 * time.Second
	allPast    = 2000 // what a proxy remembers
)

// runEvents follows until ctx ends or there were enough. A proxy that was never reached is an error; one that goes away is
// waited for.
func (a *app) runEvents(ctx context.Context, client *api.Client, f *eventsFlags) error {
	ctx, release := a.untilSignal(ctx, func() {})
	defer release()
	var (
		printed error
		from    api.EventsPlace
		reached bool
		left    = f.count
		since   = f.since.time()
		begun   = time.Now()
	)
	if !since.IsZero() {
		from.Past = allPast
	}
	broke := false
	from.Opened = func() {
		if broke {
			broke = false
			fmt.Fprintln(a.stderr, "connected again")
			if from.ID == "" {
				printed = a.printEvent(&f.out, api.Event{At: time.Now().UTC(), Kind: api.EventGap, Text: brokeEarly})
			}
		}
	}
	for pause := firstAgain; ; pause = min(2*pause, lastAgain) {
		err := client.FollowEvents(ctx, from, func(e api.Event) bool {
			from.ID, pause = e.ID, firstAgain
			if !f.wants(e, since) {
				return true
			}
			printed = a.printEvent(&f.out, e)
			left--
			return printed == nil && left != 0
		})
		reached = reached || errors.Is(err, api.ErrBroke)
		if err == nil || ctx.Err() != nil {
			return printed
		}
		if refused, ok := errors.AsType[*api.Error](err); !reached || ok && refused.Status < http.StatusInternalServerError {
			return noView(err)
		}
		fmt.Fprintf(a.stderr, "%v; trying again\n", err)
		broke = true
		if !waitUntil(ctx, time.Now().Add(pause)) {
			return printed
		}
		if from.ID == "" && from.Past == 0 { // what happened meanwhile is asked for by its time
			from.Past, since = allPast, begun
		}
	}
}

// printEvent prints one line; JSON for programs, of which each line is a document.
func (a *app) printEvent(out *output, e api.Event) error {
	if !out.forPeople() {
		return a.printDocument(out, e)
	}
	where := e.Route
	if where == "" {
		where = e.Worker
		if e.Instance != "" {
			where += " " + e.Instance
		}
	}
	_, err := fmt.Fprintf(a.stdout, "%s  %-16s  %s  %s\n", e.At.Local().Format(time.DateTime), oneLine(string(e.Kind), 32), orDash(oneLine(where, 200)), oneLine(e.Text, 500))
	return err
}

// printDocument prints one of many: JSON on a line of its own, YAML as a document of its own.
func (a *app) printDocument(out *output, v any) error {
	if out.value == "yaml" {
		fmt.Fprintln(a.stdout, "---")
		return out.print(a.stdout, v)
	}
	encoder := json.NewEncoder(a.stdout)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}
