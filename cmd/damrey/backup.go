package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/damrey/damrey/internal/snapshot"
)

// storeFlags reach what a fabric stores, beside the proxy.
type storeFlags struct {
	nats   natsFlags
	prefix string
}

func (f *storeFlags) add(cmd *cobra.Command) {
	f.nats.add(cmd)
	addPrefix(cmd.Flags(), &f.prefix)
}

// with connects, and ends ctx at the first Ctrl-C.
func (f *storeFlags) with(ctx context.Context, a *app, do func(context.Context, jetstream.JetStream) error) error {
	if err := errors.Join(f.nats.check(), checkPrefix(f.prefix)); err != nil {
		return err
	}
	ctx, release := a.untilSignal(ctx, func() {})
	defer release()
	nc, err := connectNow(f.nats.config, 5*time.Second, "is a proxy, an agent or `damrey dev` running there? name another server with --nats or NATS_URL")
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	return do(ctx, js)
}

func newBackupCommand(a *app) *cobra.Command {
	var store storeFlags
	cmd := &cobra.Command{
		Use:   "backup FILE|-",
		Short: "Copy the table, stored messages and dead letters into a file",
		Long: `Copy what a fabric stores into one file, a tar: the table, the messages of durable routes with their ids and
failures, schedules and dead letters. - is stdout. The names that agents hold for seconds are left out, and who reads
the streams: what instances have in hand is handed out again where it is restored.

  damrey backup monday.tar
  damrey restore monday.tar

Each stream is copied as it is at one moment, but one after another, while workers go on. Copied are first the
messages, then the dead letters, then the table: so a message that becomes a dead letter meanwhile is in the backup
twice. One that a worker passes on meanwhile may be in it twice, or not at all. Where that matters, pause the
workers with ` + "`damrey worker pause`" + ` before: then the backup is of one moment.

In a cluster that has lost a machine it waits up to 25 s until another leads what that one led. FILE is replaced only
when the backup is whole. It is readable for you alone, since it holds your messages. Connect to the broker itself,
not to an agent.`,
		Args: exactly("FILE|-"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return store.with(cmd.Context(), a, func(ctx context.Context, js jetstream.JetStream) error {
				return a.backup(ctx, js, store.prefix, args[0])
			})
		},
	}
	store.add(cmd)
	return cmd
}

func (a *app) backup(ctx context.Context, js jetstream.JetStream, prefix, path string) error {
	held, err := heldStreams(ctx, js, prefix)
	if err != nil {
		return err
	}
	if len(held) == 0 {
		return fmt.Errorf("there is no fabric %q at %s: neither its table nor a stream; name another with --prefix or --nats",
			prefix, js.Conn().ConnectedUrlRedacted())
	}
	names := make([]string, len(held))
	for i, h := range held {
		names[i] = h.Name
	}
	var m snapshot.Manifest
	write := func(w io.Writer) (err error) {
		m, err = snapshot.Write(ctx, js.Conn(), prefix, names, w, func(string, int64) {})
		return err
	}
	if path == "-" {
		err = write(a.stdout)
	} else {
		err = writeWhole(path, write)
	}
	if err != nil {
		return fmt.Errorf("backup: %w", unanswered(js, err))
	}
	if path == "-" {
		return printStreams(a.stderr, m.Streams)
	}
	return printStreams(a.stdout, m.Streams)
}

func heldStreams(ctx context.Context, js jetstream.JetStream, prefix string) ([]snapshot.Held, error) {
	held, err := snapshot.Streams(ctx, js, prefix)
	if errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrJetStreamNotEnabled) {
		return nil, fmt.Errorf("there is no JetStream at %s, so no fabric stores anything there: %w; name another server with --nats",
			js.Conn().ConnectedUrlRedacted(), err)
	}
	if err != nil {
		return nil, fmt.Errorf("list the streams: %w", unanswered(js, err))
	}
	return held, nil
}

// unanswered says of a cluster that did not answer as long as it was asked what that means, and what to do.
func unanswered(js jetstream.JetStream, err error) error {
	refusal, refused := errors.AsType[*jetstream.APIError](err)
	if refused && refusal.ErrorCode == notNow || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) {
		return fmt.Errorf("no answer of the cluster that %s is of: it elects a leader, or has no majority; start those of its servers that are away, "+
			"and repeat this: %w", js.Conn().ConnectedUrlRedacted(), err)
	}
	return err
}

// notNow is JetStream's code of what may be answered later.
const notNow = 10008

// writeWhole makes or replaces a file only when all of it is on the disk. What was begun is removed.
func writeWhole(path string, write func(io.Writer) error) error {
	partial := path + ".part"
	file, err := os.OpenFile(partial, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err = write(file); err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Rename(partial, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(partial))
	}
	return nil
}

func printStreams(w io.Writer, streams []snapshot.Stream) error {
	t := newTable("STREAM", "MESSAGES", "BYTES")
	alignRight(t, "MESSAGES", "BYTES")
	for _, s := range streams {
		t.AppendRow(table.Row{s.Name, s.Messages, s.Size})
	}
	return printTable(w, t)
}

func alignRight(t table.Writer, columns ...string) {
	var right []table.ColumnConfig
	for _, name := range columns {
		right = append(right, table.ColumnConfig{Name: name, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(right)
}
