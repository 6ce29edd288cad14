package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

const rootHelp = `Damrey lets small programs on many machines work together by messages. A program (a worker)
says what its output is; one live table at the proxy says where that goes; NATS carries it.

  damrey dev          everything in one process, to try it
  damrey proxy        the proxy, with the broker inside
  damrey agent        one on each further machine
  damrey worker       look at the table and change it, or run any program as a worker
  damrey route        pause a route and resume it
  damrey dead         look at the messages that failed too often; retry, edit or purge them
  damrey schedule     send messages later, once or again and again
  damrey top          watch workers, routes and instances; also graph, events, tap
  damrey doctor       look for what is wrong, with the command that mends it
  damrey trace        follow a message through the network, and find the slow hop
  damrey alarm        what is wrong, and who is told of it
  damrey check        the same as one exit code, for Nagios and the like

Every flag can be set by an environment variable, --nats-port by DAMREY_NATS_PORT. Logs are on
stderr, stdout is data. The first Ctrl-C ends a daemon in order, the second at once.

Exit codes: 0 done, 1 failed, 2 wrong call, 5 nobody took the message or answered in time,
6 the answer was an ERROR, 130 ended by the second Ctrl-C; damrey check has its own.`

// execute runs one command line and returns the exit code.
func execute(args []string, a *app) int {
	out := &outlet{to: a.stdout}
	a.stdout = out
	root := newRoot(a)
	root.SetArgs(rewriteSeedFlags(args))
	cmd, err := root.ExecuteContextC(context.Background())
	if err == nil && out.err != nil {
		err = &codeError{exitFailed, fmt.Errorf("the result could not be printed: %w", out.err)}
	}
	return a.finish(cmd, err)
}

func newRoot(a *app) *cobra.Command {
	root := newGroupCommand("damrey", "Small programs on many machines work together by messages", rootHelp)
	root.SilenceUsage, root.SilenceErrors = true, true
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	a.logging.add(root.PersistentFlags())
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return flagError(err) })
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) (err error) {
		if err := a.readEnvironment(cmd); err != nil {
			return err
		}
		if err := refuseEmpty(cmd); err != nil {
			return err
		}
		if err := a.checkGroups(cmd); err != nil { // cobra would do it later, as if it were no wrong call
			return err
		}
		a.log, err = a.logging.logger(a.stderr)
		a.running = err == nil
		return err
	}
	root.AddCommand(newDevCommand(a), newProxyCommand(a), newAgentCommand(a), newWorkerCommand(a), newRouteCommand(a), newDeadCommand(a), newScheduleCommand(a),
		newRequestCommand(a), newSendCommand(a), newTraceCommand(a), newBackupCommand(a), newRestoreCommand(a), newBenchCommand(a), newChaosCommand(a), newChaosWorkerCommand(a), newVersionCommand(a))
	root.AddCommand(newTopCommand(a), newGraphCommand(a), newEventsCommand(a), newTapCommand(a), newAlarmCommand(a), newCheckCommand(a), newDoctorCommand(a), newDemoWorkerCommand(a))
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	refuseUnknownTopics(root)
	nameEnvironment(root)
	return root
}

// newGroupCommand is a command that only holds others.
func newGroupCommand(use, short, long string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long,
		DisableFlagsInUseLine: true,
		Args:                  noSuchCommand,
		RunE:                  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
}

// noSuchCommand refuses arguments of a group, with what may have been meant.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if args[0] == "" { // it begins every name, so that all would be suggested
		return usageError("an empty word stands where a command of %q is needed", cmd.CommandPath())
	}
	text := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
	cmd.SuggestionsMinimumDistance = 2
	if len(args[0]) <= 3 { // else every short name is near
		cmd.SuggestionsMinimumDistance = 1
	}
	if meant := cmd.SuggestionsFor(args[0]); len(meant) > 0 {
		text += "; did you mean " + strings.Join(meant, " or ") + "?"
	}
	return usageError("%s", text)
}

// refuseUnknownTopics makes cobra's own commands strict: they print help and end with 0 for names that there are not.
func refuseUnknownTopics(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Args = knownTopic
		case "completion":
			cmd.Args = noSuchCommand
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
}

// knownTopic follows the words down the tree.
func knownTopic(help *cobra.Command, args []string) error {
	at := help.Root()
	for _, word := range args {
		i := slices.IndexFunc(at.Commands(), func(c *cobra.Command) bool { return c.Name() == word || c.HasAlias(word) })
		if i < 0 {
			return noSuchCommand(at, []string{word})
		}
		at = at.Commands()[i]
	}
	return nil
}

// exactly takes the named arguments, neither less nor more.
func exactly(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return usageError("%s is missing", strings.Join(names[len(args):], " "))
		}
		if len(args) > len(names) {
			return usageError("%q is one argument too many", args[len(names)])
		}
		return nil
	}
}
