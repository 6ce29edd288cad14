package main

import (
	"github.com/spf13/cobra"
)

const deadHelp = `Look after the messages of durable routes that failed too often. Each is kept as a dead letter, for
30 days, until you retry or purge it:

  damrey dead ls --worker square --since 1h
  damrey dead show 7
  damrey dead retry 7
  damrey dead edit 7 --retry
  damrey dead retry --all --worker square --rate 50/s
  damrey dead purge --all --error "no such customer"`

func newDeadCommand(a *app) *cobra.Command {
	cmd := newGroupCommand("dead", "Look at the messages that failed too often; retry, edit or purge them", deadHelp)
	cmd.AddCommand(newDeadListCommand(a), newDeadShowCommand(a), newDeadRetryCommand(a), newDeadEditCommand(a), newDeadPurgeCommand(a))
	return cmd
}
