package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey/internal/api"
)

const eventsHelp = `Follow what happens: instances and agents that come and go, changes of the table, messages that nobody
took, streams that somebody deleted, alarms. It goes on after a break where it was.

  damrey events
  damrey events --kind instance.lost,alarm.firing
  damrey events --since 15m --count 20 -o json

Kinds: `

type eventsFlags struct {
	proxy proxyFlag
	kinds []string
	since moment
	count int
	out   output
}

func newEventsCommand(a *app) *cobra.Command {
	var f eventsFlags
	names := api.EventKindNames()
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Follow what happens in the network",
		Long:  eventsHelp + strings.Join(names[:7], ", ") + ",\n" + strings.Join(names[7:], ", ") + ".\ninstance stands for all that begin so.",
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
		if !slices.ContainsFunc(api.EventKinds, func(k api.EventKind) bool { return isOfKind(k, kind) }) {
			return usageError("--kind %q is no kind of event; there are %s; instance stands for all that begin so", oneLine(kind, 64), strings.Join(api.EventKindNames(), ", "))
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

var errEnough = errors.New("there were enough")

// runEvents follows until ctx ends or there were enough. A proxy that was never reached is an error; one that goes away is
// waited for.
func (a *app) runEvents(ctx context.Context, client *api.Client, f *eventsFlags) error {
	ctx, release := a.untilSignal(ctx, func() {})
	defer release()
	since, left := f.since.time(), f.count
	from := api.EventsFrom{
		Broke: func(err error) { fmt.Fprintf(a.stderr, "%v; trying again\n", err) },
		Again: func() { fmt.Fprintln(a.stderr, "connected again") },
	}
	if !since.IsZero() {
		from.Last = api.AllPast
	}
	err := client.Events(ctx, from, func(e api.Event) error {
		if !f.wants(e, since) {
			return nil
		}
		if err := a.printEvent(&f.out, e); err != nil {
			return err
		}
		if left--; left == 0 {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) || ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return noView(err)
}

// printEvent prints one line; JSON for programs, of which each line is a document.
func (a *app) printEvent(out *output, e api.Event) error {
	if !out.forPeople() {
		return a.printDocument(out, e)
	}
	where := cmp.Or(e.Route, e.Worker, e.About)
	if e.Route == "" && e.Instance != "" {
		where += " " + e.Instance
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
