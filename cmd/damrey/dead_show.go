package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/wire"
)

func newDeadShowCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	var out output
	cmd := &cobra.Command{
		Use:   "show SEQ",
		Short: "Show one dead letter, with its message and its headers",
		Args:  exactly("SEQ"),
		RunE: func(cmd *cobra.Command, args []string) error {
			sequence, err := parseSequence(args[0])
			if err != nil {
				return err
			}
			return proxy.with(func(client *api.Client) error {
				letter, err := client.DeadLetter(cmd.Context(), sequence)
				if err != nil {
					return err
				}
				if !out.forPeople() {
					return out.print(a.stdout, letter)
				}
				return printDeadLetter(a.stdout, letter)
			})
		},
	}
	proxy.add(cmd)
	out.add(cmd, "table")
	return cmd
}

// printDeadLetter prints what is known first, then each element of the message, then all headers.
func printDeadLetter(w io.Writer, l api.DeadDetail) error {
	t := newTable("FIELD", "VALUE")
	for _, row := range []table.Row{
		{"sequence", l.Sequence}, {"time", l.Time.Local().Format(time.DateTime)},
		{"route", oneLine(l.Route(), 200)}, {"path", orDash(oneLine(strings.Join(l.Path, ", "), 1000))}, {"error", orDash(oneLine(l.Error, 1000))},
		{"edited", orDash(whenever(l.Edited))}, {"failures", l.Failures}, {"delivered", l.Delivered}, {"instance", orDash(l.Instance)}, {"id", orDash(l.ID)}, {"size", l.Size},
	} {
		t.AppendRow(row)
	}
	msg := l.Message
	if msg == nil { // JSON could not carry it
		var err error
		if msg, err = wire.Decode(l.Payload); err != nil {
			t.AppendRow(table.Row{"payload", fmt.Sprintf("%q", l.Payload)})
		}
	}
	for i, element := range msg {
		t.AppendRow(table.Row{fmt.Sprintf("message[%d]", i), strconv.Quote(element)})
	}
	for _, name := range slices.Sorted(maps.Keys(l.Headers)) {
		for _, value := range l.Headers[name] {
			t.AppendRow(table.Row{oneLine(name, 100), oneLine(value, 1000)})
		}
	}
	return printTable(w, t)
}

// whenever is empty for no time.
func whenever(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.DateTime)
}

func parseSequence(s string) (uint64, error) {
	sequence, err := strconv.ParseUint(s, 10, 64)
	if err != nil || sequence == 0 {
		return 0, usageError("SEQ: %q is no number of a dead letter; `damrey dead ls` shows them", s)
	}
	return sequence, nil
}
