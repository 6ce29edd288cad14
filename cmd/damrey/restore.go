package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/damrey/damrey/internal/bucket"
	"github.com/damrey/damrey/internal/snapshot"
)

func newRestoreCommand(a *app) *cobra.Command {
	var store storeFlags
	var replace bool
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put back what `damrey backup` copied",
		Long: `Put back what ` + "`damrey backup`" + ` copied, into a fabric of the same prefix. The whole file is read and checked before
anything is touched, and that the streams can be made. A fabric that stores something already is refused; with
--replace what it stores is removed first, all of it, and the fabric is as in the backup then. Streams get as many
copies as the table has where they are restored, so a cluster's backup goes to one broker too, and the other way
round.

What has expired since the backup stays away, and is counted: ids of WithID after their window, failures after 7
days, dead letters after 30. Anything else that is missing afterwards is an error.

Stop the workers before; proxies and agents that run notice within seconds that the table is another. Messages that
were in the hands of instances are handed out again. An interrupted restore is repeated with --replace.`,
		Args: exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer file.Close()
			return store.with(cmd.Context(), a, func(ctx context.Context, js jetstream.JetStream) error {
				return a.restore(ctx, js, file, store.prefix, replace)
			})
		},
	}
	store.add(cmd)
	cmd.Flags().BoolVar(&replace, "replace", false, "remove all that the fabric stores first")
	return cmd
}

func (a *app) restore(ctx context.Context, js jetstream.JetStream, file *os.File, prefix string, replace bool) error {
	held, b, err := readRestore(ctx, js, file, prefix, replace)
	if err != nil {
		return fmt.Errorf("%w; nothing was touched", err)
	}
	target := snapshot.NewTarget(js, prefix, held, replace)
	defer announce(js.Conn(), prefix)()
	if err := target.Check(ctx, b); err != nil {
		return fmt.Errorf("%s cannot be restored here: %w; nothing was touched", file.Name(), err)
	}
	if err := target.Clear(ctx); err != nil {
		return fmt.Errorf("%w; repeat it with --replace", err)
	}
	var done []snapshot.Restored
	err = target.Restore(ctx, b, file, func(r snapshot.Restored) { done = append(done, r) })
	if err != nil {
		return fmt.Errorf("restored %d of %d streams: %w; repeat it with --replace", len(done), len(b.Streams), err)
	}
	return printRestored(a.stdout, done)
}

// readRestore reads all of the file, which stands at its start then, and the streams that are there. It refuses to remove
// anything that nobody said may go.
func readRestore(ctx context.Context, js jetstream.JetStream, file *os.File, prefix string, replace bool) ([]snapshot.Held, snapshot.Backup, error) {
	b, err := snapshot.Verify(file)
	if err == nil {
		err = b.Manifest.Check(prefix)
	}
	if err != nil {
		return nil, b, fmt.Errorf("%s: %w", file.Name(), err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, b, err
	}
	held, err := heldStreams(ctx, js, prefix)
	if err != nil {
		return nil, b, err
	}
	var full []string
	for _, h := range held {
		if h.Messages > 0 {
			full = append(full, fmt.Sprintf("%s (%d)", h.Name, h.Messages))
		}
	}
	if len(full) > 0 && !replace {
		return nil, b, fmt.Errorf("the fabric %q stores messages already: %s; with --replace they are removed first", prefix, strings.Join(full, ", "))
	}
	return held, b, nil
}

// announce asks proxies to leave the streams alone until end is called.
func announce(nc *nats.Conn, prefix string) (end func()) {
	say := func() {
		_ = nc.Publish(bucket.RestoringSubject(prefix), nil)
		_ = nc.Flush() // without a connection what it is for fails, and says so
	}
	say()
	said := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		ticker := time.NewTicker(announceEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				say()
			case <-said:
				return
			}
		}
	})
	return func() { close(said); group.Wait() }
}

const announceEvery = 500 * time.Millisecond

func printRestored(w io.Writer, streams []snapshot.Restored) error {
	t := newTable("STREAM", "MESSAGES", "EXPIRED")
	alignRight(t, "MESSAGES", "EXPIRED")
	for _, s := range streams {
		t.AppendRow(table.Row{s.Name, s.Messages, s.Expired})
	}
	return printTable(w, t)
}
