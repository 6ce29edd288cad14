package main

import (
	"os"

	"github.com/spf13/cobra"
)

const alarmHelp = `Look at what is wrong, and say who is told of it and when:

  damrey alarm ls                                         what is wrong now, and what to type next
  damrey alarm ack no_instance:square --why "on it"       so that others see that somebody has it
  damrey alarm silence add --worker square --for 2h --why "moving house"
  damrey alarm rules ls                                   what is looked at, and the limits
  damrey alarm rules set slow --limit p99_ms=500 --for 2m
  damrey alarm webhook add pager https://hooks.example.com/damrey --secret-file FILE

` + "`damrey check`" + ` is the same for Nagios and the like.`

func newAlarmCommand(a *app) *cobra.Command {
	cmd := newGroupCommand("alarm", "Look at what is wrong, and say who is told of it", alarmHelp)
	cmd.AddCommand(newAlarmListCommand(a), newAlarmAckCommand(a), newAlarmSilenceCommand(a), newAlarmRulesCommand(a), newAlarmWebhookCommand(a))
	return cmd
}

// whoFlag says who somebody is. Nobody checks it: it is for others to know whom to ask.
type whoFlag struct{ name string }

func (w *whoFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&w.name, "by", "", "`NAME` that others are shown (default: user@host)")
}

func (w *whoFlag) value(a *app) string {
	if w.name != "" {
		return w.name
	}
	user := "somebody"
	for _, name := range []string{"USER", "LOGNAME", "USERNAME"} {
		if value, ok := a.lookup(name); ok && value != "" {
			user = value
			break
		}
	}
	if host, err := os.Hostname(); err == nil {
		user += "@" + host
	}
	return user
}
