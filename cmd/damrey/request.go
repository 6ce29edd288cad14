package main

import (
	"fmt"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

func newRequestCommand(a *app) *cobra.Command {
	var f askFlags
	cmd := &cobra.Command{
		Use:   "request FROM TYPE [ARG]...",
		Short: "Ask as a worker would, and print the answer",
		Long: `Send a request as the worker FROM would, along its route for TYPE, and print the arguments of the
answer, one a line; -o json or yaml prints the whole message.

  damrey request entry add 3 4

It needs a NATS server where an agent or a proxy routes. It ends with 0 for a RESPONSE, 5 for STOP or
TIMEOUT (nobody took the message, or answered in time), 6 for an ERROR.`,
		Args: fromTypeArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.nats.config.Log = a.log.Level(zerolog.WarnLevel)
			if err := f.check(args[0], args[1]); err != nil {
				return err
			}
			r, err := f.ask(cmd.Context(), args, nil)
			if err != nil {
				return err
			}
			if err := a.printReply(r, &f.out); err != nil {
				return err
			}
			return r.err("request")
		},
	}
	f.add(cmd)
	return cmd
}

// printReply prints the arguments of a RESPONSE, or the whole of any message for programs.
func (a *app) printReply(r reply, out *output) error {
	if !out.forPeople() {
		return out.printLine(a.stdout, r.msg)
	}
	if r.err("") != nil {
		return nil
	}
	for _, arg := range r.msg.Args() {
		if _, err := fmt.Fprintln(a.stdout, arg); err != nil {
			return err
		}
	}
	return nil
}
