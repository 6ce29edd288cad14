package main

import (
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/damrey/damrey"
)

func newSendCommand(a *app) *cobra.Command {
	var f askFlags
	cmd := &cobra.Command{
		Use:   "send FROM TYPE [ARG]...",
		Short: "Send a message as a worker would, and tell whether somebody took it or it is stored",
		Long: `Send a message as the worker FROM would, along its route for TYPE, and wait until it is known whether
an instance took it; no answer of a worker is waited for.

  damrey send entry log "something happened"

It ends with 0 when an instance took it, 5 when none did, 6 for an ERROR such as a route that is not there.
Along a durable route 0 says that the message is stored: it is handled when there is an instance, and kept
until then. Storing goes on trying for 15s and is waited for, unless --timeout says how long. When it is not
known in the end whether the message is stored, it may be: look before you send it again.`,
		Args: fromTypeArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.nats.config.Log = a.log.Level(zerolog.WarnLevel)
			if err := f.check(args[0], args[1]); err != nil {
				return err
			}
			if !cmd.Flags().Changed("timeout") {
				f.wait = storeTime + 2*time.Second // the route may be durable
			}
			// The bridge pushes it as a send, and answers what became of that.
			r, err := f.ask(cmd.Context(), args, nats.Header{damrey.HeaderSend: {damrey.SendConfirm}})
			if err != nil {
				return err
			}
			r.sent = true
			if !f.out.forPeople() {
				if err := f.out.printLine(a.stdout, r.msg); err != nil {
					return err
				}
			}
			return r.err("message")
		},
	}
	f.add(cmd)
	return cmd
}
