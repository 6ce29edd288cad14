package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

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
		Long: `Put back what ` + "`damrey backup`" + ` copied, into a fabric of the same prefix. The whole file is checked before
anything is touched. A fabric that stores something already is refused; with --replace what it stores is removed
first, all of it, and the fabric is as in the backup then.

Stop the workers before; proxies and agents that run notice within seconds that the table is another. Messages that
were in the hands of instances are handed out again after 10 seconds. An interrupted restore is repeated with
--replace.`,
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
	m, err := snapshot.Verify(file)
	if err == nil {
		err = m.Check(prefix)
	}
	if err != nil {
		return fmt.Errorf("%s: %w; nothing was touched", file.Name(), err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("%w; nothing was touched", err)
	}
	defer announce(js.Conn(), prefix)()
	if err := clearFabric(ctx, js, prefix, replace); err != nil {
		return err
	}
	var done []snapshot.Stream
	err = snapshot.Restore(ctx, js, m, file, replace, func(s snapshot.Stream) { done = append(done, s) })
	if err != nil {
		return fmt.Errorf("restored %d of %d streams: %w; repeat it with --replace", len(done), len(m.Streams), err)
	}
	return printStreams(a.stdout, done)
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

// clearFabric refuses to remove anything that nobody said may go.
func clearFabric(ctx context.Context, js jetstream.JetStream, prefix string, replace bool) error {
	held, err := heldStreams(ctx, js, prefix)
	if err != nil {
		return fmt.Errorf("%w; nothing was touched", err)
	}
	var full []string
	for _, h := range held {
		if h.Messages > 0 {
			full = append(full, fmt.Sprintf("%s (%d)", h.Name, h.Messages))
		}
	}
	if len(full) > 0 && !replace {
		return fmt.Errorf("the fabric %q stores messages already: %s; with --replace they are removed first; nothing was touched",
			prefix, strings.Join(full, ", "))
	}
	for _, h := range held {
		if err := js.DeleteStream(ctx, h.Name); err != nil {
			return fmt.Errorf("stream %s cannot be removed: %w; repeat it with --replace", h.Name, err)
		}
	}
	return nil
}
