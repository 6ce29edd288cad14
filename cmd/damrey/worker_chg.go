package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

func newWorkerChgCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	var entry entryFlags
	cmd := &cobra.Command{
		Use:     "chg NAME | -f FILE",
		Aliases: []string{"change"},
		Short:   "Change a worker's entry; the running instances follow at once",
		Long: `Change a worker's entry. With flags, only what they name changes, and only if nobody else changes
the entry at the same time:

  damrey worker chg entry --command add=add2       the row of this type, replaced or new
  damrey worker chg entry --remove-command log
  damrey worker chg entry --agent ''               no longer pinned

With -f the whole entry is replaced; a revision in the file, as ` + "`damrey worker get NAME -o yaml`" + `
writes it, must still be the entry's. Fields of a newer version may stay as they are.`,
		Args: entry.check,
		RunE: func(cmd *cobra.Command, args []string) error {
			fromFile, err := entry.fromFile(args)
			if err != nil {
				return err
			}
			return proxy.with(func(client *api.Client) error {
				if fromFile {
					return a.replaceEntries(cmd.Context(), client, entry.file)
				}
				return a.editEntry(cmd.Context(), client, args[0], cmd.Flags(), &entry)
			})
		},
		ValidArgsFunction: proxy.completeWorkers(a),
	}
	proxy.add(cmd)
	entry.add(cmd)
	cmd.Flags().StringArrayVar(&entry.remove, "remove-command", nil, "remove the route of this `TYPE`; may be repeated")
	cmd.MarkFlagsMutuallyExclusive("file", "remove-command")
	return cmd
}

func (a *app) replaceEntries(ctx context.Context, client *api.Client, file string) error {
	documents, err := a.readDocuments(file)
	if err == nil {
		err = checkExtra(ctx, client, documents)
	}
	if err != nil {
		return err
	}
	return a.storeEach(ctx, client, documents, "changed", func(d document) (uint64, error) {
		var revision uint64
		var err error
		if d.revision != "" {
			revision, err = client.Put(ctx, d.Registration, d.revision)
		} else {
			revision, err = client.Change(ctx, d.Registration)
		}
		return revision, advise(err, d.Name)
	})
}

// editing are the flags that change something.
var editing = []string{"command", "remove-command", "agent", "mpu", "max-messages", "max-bytes"}

func (a *app) editEntry(ctx context.Context, client *api.Client, name string, flags *pflag.FlagSet, entry *entryFlags) error {
	if err := damrey.CheckWorkerName(name); err != nil {
		return usageError("%w", err)
	}
	if !slices.ContainsFunc(editing, flags.Changed) {
		return usageError("nothing to change; name it with %s, or give a file with -f", "--"+strings.Join(editing, ", --"))
	}
	reg, revision, err := client.Worker(ctx, name)
	if err != nil {
		return err
	}
	if err := entry.apply(flags, &reg); err != nil {
		return err
	}
	d := document{Registration: reg, revision: api.Match(revision)}
	return a.storeEach(ctx, client, []document{d}, "changed", func(d document) (uint64, error) {
		stored, err := client.Put(ctx, d.Registration, d.revision)
		return stored, advise(err, name)
	})
}
