package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

func newWorkerHistoryCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	var out output
	cmd := &cobra.Command{
		Use:   "history NAME",
		Short: "Show what a worker's entry was before, and what each change did",
		Long: `Show what a worker's entry was before, and what each change did, the newest first; also of a worker that was
deleted. The last 64 revisions are kept.

  damrey worker history entry
  damrey worker history entry -o json       every revision as it was
  damrey worker undo entry --to 7           puts one of them back`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return proxy.with(func(client *api.Client) error {
				history, err := askHistory(cmd.Context(), client, args[0])
				if err != nil {
					return err
				}
				if !out.forPeople() {
					return out.print(a.stdout, history)
				}
				return printHistory(a.stdout, history)
			})
		},
		ValidArgsFunction: proxy.completeWorkers(a),
	}
	proxy.add(cmd)
	out.add(cmd, "table")
	return cmd
}

func askHistory(ctx context.Context, client *api.Client, name string) (api.WorkerHistory, error) {
	if err := damrey.CheckWorkerName(name); err != nil {
		return api.WorkerHistory{}, usageError("%w", err)
	}
	return client.History(ctx, name)
}

func printHistory(w io.Writer, history api.WorkerHistory) error {
	t := newTable("REVISION", "TIME", "CHANGE")
	t.SetColumnConfigs([]table.ColumnConfig{{Name: "REVISION", Align: text.AlignRight, AlignHeader: text.AlignRight}})
	for _, r := range history.Revisions {
		t.AppendRow(table.Row{r.Revision, r.At.Local().Format(time.DateTime), oneLine(changeText(r), 200)})
	}
	return printTable(w, t)
}

func changeText(r api.WorkerRevision) string {
	switch {
	case r.Problem != "":
		return "cannot be read: " + r.Problem
	case len(r.Changes) == 0:
		return "-"
	}
	return strings.Join(r.Changes, "; ")
}

func newWorkerUndoCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	var to uint64
	cmd := &cobra.Command{
		Use:   "undo NAME",
		Short: "Put a worker's entry back as it was before",
		Long: `Put a worker's entry back as it was before its last change, or with --to as it was at a revision that ` + "`damrey worker\nhistory`" + ` shows. It is a change like any other: running instances follow at once, and to undo it, undo once more. It is
refused when somebody else changes the entry meanwhile.

  damrey worker undo entry
  damrey worker undo entry --to 7`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return proxy.with(func(client *api.Client) error { return a.undo(cmd.Context(), client, args[0], to) })
		},
		ValidArgsFunction: proxy.completeWorkers(a),
	}
	proxy.add(cmd)
	cmd.Flags().Uint64Var(&to, "to", 0, "the `REVISION` to put back (default: the one before the last change)")
	return cmd
}

func (a *app) undo(ctx context.Context, client *api.Client, name string, to uint64) error {
	history, err := askHistory(ctx, client, name)
	if err != nil {
		return err
	}
	now := history.Revisions[0]
	was, err := chosenRevision(history, to)
	if err != nil {
		return err
	}
	var revision uint64
	if now.Deleted {
		revision, err = client.Add(ctx, *was.Registration)
	} else {
		revision, err = client.Put(ctx, *was.Registration, api.Match(now.Revision))
	}
	if err != nil {
		return advise(err, name)
	}
	_, err = fmt.Fprintf(a.stdout, "%s is again as it was at revision %d (revision %d)\n", name, was.Revision, revision)
	a.warnWeakLine(ctx, client, *was.Registration)
	a.warnOverLimit(ctx, client, *was.Registration)
	return err
}

// chosenRevision is what shall be again; 0 stands for the one before the last change.
func chosenRevision(history api.WorkerHistory, to uint64) (was api.WorkerRevision, err error) {
	name := history.Worker
	found := false
	for i, r := range history.Revisions {
		if to == 0 && i == 1 || to != 0 && r.Revision == to {
			was, found = r, true
			break
		}
	}
	switch {
	case !found && to == 0:
		return was, fmt.Errorf("nothing is known of %s before revision %d, which added it; remove it with `damrey worker del %s`", name, history.Revisions[0].Revision, name)
	case !found:
		return was, fmt.Errorf("--to %d: %s has no such revision; `damrey worker history %s` shows those that are kept", to, name, name)
	case was.Deleted:
		return was, fmt.Errorf("at revision %d %s was deleted; remove it with `damrey worker del %s`, or choose another with --to", was.Revision, name, name)
	case was.Registration == nil:
		return was, fmt.Errorf("revision %d of %s cannot be read: %s; choose another with --to", was.Revision, name, was.Problem)
	}
	return was, nil
}
