package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

func newWorkerAddCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	var entry entryFlags
	cmd := &cobra.Command{
		Use:   "add NAME | -f FILE",
		Short: "Add a worker to the table",
		Long: `Add a worker to the table, and with it where its output goes:

  damrey worker add entry --command add=add --command log=audit,mpu=2,batch=64
  damrey worker add square
  damrey worker add -f workers.yaml`,
		Args: entry.check,
		RunE: func(cmd *cobra.Command, args []string) error {
			documents, err := a.newEntries(cmd, args, &entry)
			if err != nil {
				return err
			}
			return proxy.with(func(client *api.Client) error {
				return a.storeEach(cmd.Context(), client, documents, "added", func(d document) (uint64, error) {
					return addEntry(cmd.Context(), client, d)
				})
			})
		},
	}
	proxy.add(cmd)
	entry.add(cmd)
	return cmd
}

func (a *app) newEntries(cmd *cobra.Command, args []string, entry *entryFlags) ([]document, error) {
	fromFile, err := entry.fromFile(args)
	if err != nil {
		return nil, err
	}
	if fromFile {
		return a.newDocuments(entry.file)
	}
	reg := damrey.Registration{Name: args[0]}
	err = entry.apply(cmd.Flags(), &reg)
	return []document{{Registration: reg}}, err
}

func addEntry(ctx context.Context, client *api.Client, d document) (uint64, error) {
	revision, err := client.Add(ctx, d.Registration)
	return revision, advise(err, d.Name)
}

// storeEach goes on after a failure, so that one bad entry of many does not hide the others.
func (a *app) storeEach(ctx context.Context, client *api.Client, documents []document, done string, store func(document) (uint64, error)) error {
	var failed []error
	for _, d := range documents {
		revision, err := store(d)
		if err != nil {
			failed = append(failed, d.whose(err))
			continue
		}
		if _, err := fmt.Fprintf(a.stdout, "%s %s (revision %d)\n", done, d.Name, revision); err != nil {
			failed = append(failed, fmt.Errorf("%s %s (revision %d), but that could not be printed: %w", done, d.Name, revision, err))
		}
		a.warnWeakLine(ctx, client, d.Registration)
		a.warnOverLimit(ctx, client, d.Registration)
	}
	return errors.Join(failed...)
}
