package main

import (
	"github.com/spf13/cobra"
)

const scheduleHelp = `Send messages later, once or again and again. Where a message goes is looked up each time that it is due:

  damrey schedule add nightly --from shop --cron '0 2 * * *' pay all
  damrey schedule add beat --from shop --every 30s pay 1
  damrey schedule add once --from shop --in 10m pay "call back"
  damrey schedule ls
  damrey schedule rm nightly

Messages that programs have delayed are listed too, and can be removed.`

func newScheduleCommand(a *app) *cobra.Command {
	cmd := newGroupCommand("schedule", "Send messages later, once or again and again", scheduleHelp)
	cmd.AddCommand(newScheduleAddCommand(a), newScheduleListCommand(a), newScheduleRemoveCommand(a))
	return cmd
}
