package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/wire"
)

// deadEdit is the flags of `damrey dead edit`. Without any the editor is asked.
type deadEdit struct {
	typ, message, file string
	args               []string
	retry              bool
}

func newDeadEditCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	var edit deadEdit
	cmd := &cobra.Command{
		Use:   "edit SEQ|ID",
		Short: "Change the message of a dead letter",
		Long: `Change the type or the arguments of a dead letter, so that it can be retried. Without a flag that says
how, its message is opened in $VISUAL or $EDITOR.

  damrey dead edit 7
  damrey dead edit 7 --type add --arg 1 --arg 2 --retry
  damrey dead edit 7 --message '["REQUEST","add","1","2"]'

The letter keeps what is known of it: its id, why it failed, and where. It is stored anew and gets another SEQ by
that, which is printed; the one before is removed then. When it was edited, retried or purged from another terminal
meanwhile, nothing is changed. --retry sends it at once.`,
		Args: exactly("SEQ|ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			change, err := edit.change(a, cmd)
			if err != nil {
				return err
			}
			return proxy.with(func(client *api.Client) error {
				return a.editDead(cmd.Context(), client, args[0], change, edit.retry)
			})
		},
	}
	proxy.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&edit.typ, "type", "", "the new `TYPE`")
	flags.StringArrayVar(&edit.args, "arg", nil, "one `ARG` of the new arguments; each has a flag, and together they replace all")
	flags.StringVar(&edit.message, "message", "", "the new message, as `JSON`: [\"REQUEST\",\"add\",\"1\"]")
	flags.StringVarP(&edit.file, "file", "f", "", "`FILE` with the new type and args, as the editor gets them; - is stdin")
	flags.BoolVar(&edit.retry, "retry", false, "send it at once, as damrey dead retry does")
	cmd.MarkFlagsMutuallyExclusive("message", "type", "file")
	cmd.MarkFlagsMutuallyExclusive("message", "arg", "file")
	return cmd
}

// change is nil when the editor is to be asked.
func (e *deadEdit) change(a *app, cmd *cobra.Command) (*api.DeadEdit, error) {
	switch {
	case e.message != "":
		return parseEditedMessage(e.message)
	case e.file != "":
		data, err := a.readFile(e.file)
		if err != nil {
			return nil, fmt.Errorf("-f: %w", err)
		}
		return parseEdit(e.file, data)
	case e.typ == "" && !cmd.Flags().Changed("arg"):
		return nil, nil
	}
	change := &api.DeadEdit{Type: e.typ}
	if e.typ != "" {
		if err := damrey.CheckName(e.typ); err != nil {
			return nil, usageError("--type %w", err)
		}
	}
	if cmd.Flags().Changed("arg") {
		change.Args = &e.args
	}
	return change, nil
}

func parseEditedMessage(text string) (*api.DeadEdit, error) {
	m, err := wire.Decode([]byte(text))
	message := damrey.Msg(m)
	switch {
	case err != nil:
		return nil, usageError("--message: %w", err)
	case len(message) < 2 || message.Tag() != damrey.REQUEST:
		return nil, usageError(`--message %s: a message to a worker is ["REQUEST", type, arguments…]`, text)
	}
	if err := damrey.CheckName(message.Type()); err != nil {
		return nil, usageError("--message: type %w", err)
	}
	return &api.DeadEdit{Type: message.Type(), Args: new(slices.Clone(message.Args()))}, nil
}

// editDead edits, and retries when that was asked for.
func (a *app) editDead(ctx context.Context, client *api.Client, name string, change *api.DeadEdit, retry bool) error {
	sequence, err := findDead(ctx, client, name)
	if err != nil {
		return err
	}
	if change == nil {
		if change, err = a.askEditor(ctx, client, sequence); err != nil || change == nil {
			return err
		}
	}
	done, err := client.EditDead(ctx, sequence, *change)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(a.stdout, "edited letter %d, which is %d now\n", sequence, done.Sequence); err != nil || !retry {
		return err
	}
	sent, err := client.RetryDead(ctx, done.Sequence)
	if err != nil {
		return fmt.Errorf("letter %d is edited, but not retried: %w", done.Sequence, err)
	}
	_, err = fmt.Fprintf(a.stdout, "retried letter %d along %s (%s)\n", done.Sequence, sent.Route, sent.Delivery)
	return err
}

// findDead takes a number for a letter's sequence, and everything else for the id of its message.
func findDead(ctx context.Context, client *api.Client, name string) (uint64, error) {
	if sequence, err := strconv.ParseUint(name, 10, 64); err == nil && sequence > 0 {
		return sequence, nil
	}
	if name == "" || name == "0" {
		return parseSequence(name)
	}
	var found []uint64
	err := eachDead(ctx, client, api.DeadFilter{Limit: api.MaxDead}, func(page api.DeadList) bool {
		for _, l := range page.Letters {
			if l.ID == name {
				found = append(found, l.Sequence)
			}
		}
		return true
	})
	switch {
	case err != nil:
		return 0, err
	case len(found) == 0:
		return 0, fmt.Errorf("there is no dead letter with the id %q; `damrey dead ls` shows those that are there", name)
	case len(found) > 1:
		return 0, fmt.Errorf("%s have the id %q (%s); name one by its number", count(len(found)), name, numbers(found))
	}
	return found[0], nil
}
