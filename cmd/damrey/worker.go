package main

import (
	"github.com/spf13/cobra"
)

const workerHelp = `Look at the routing table and change it, through the proxy's REST interface:

  damrey worker list
  damrey worker add entry --command add=add --command log=audit,batch=64
  damrey worker chg entry --command add=add2
  damrey worker get entry -o yaml > entry.yaml
  damrey worker chg -f entry.yaml
  damrey worker del entry
  damrey worker history entry
  damrey worker undo entry
  damrey worker pause add
  damrey worker resume add

or run any program as a worker:

  damrey worker run upper -- python3 -u upper.py`

func newWorkerCommand(a *app) *cobra.Command {
	cmd := newGroupCommand("worker", "Look at the routing table and change it, or run a program as a worker", workerHelp)
	cmd.AddCommand(newWorkerListCommand(a), newWorkerGetCommand(a), newWorkerAddCommand(a), newWorkerChgCommand(a),
		newWorkerDelCommand(a), newWorkerHistoryCommand(a), newWorkerUndoCommand(a), newWorkerPauseCommand(a), newWorkerResumeCommand(a), newWorkerRunCommand(a))
	return cmd
}
