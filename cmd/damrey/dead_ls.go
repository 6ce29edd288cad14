package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/damrey/damrey/internal/api"
)

func newDeadListCommand(a *app) *cobra.Command {
	var proxy proxyFlag
	var choose deadFilter
	var limit int
	var out output
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List dead letters, the oldest first",
		Long: `List dead letters, the oldest first. SEQ names a letter to the other verbs; the message of TYPE went
from FROM to WORKER, where FAILED attempts ended with an error, the last one with ERROR.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := choose.filter()
			if err != nil {
				return err
			}
			if limit < 1 {
				return usageError("--limit %d; use 1 or more", limit)
			}
			return proxy.with(func(client *api.Client) error {
				list, err := listDead(cmd.Context(), client, filter, limit)
				if err != nil {
					return err
				}
				if !out.forPeople() {
					return out.print(a.stdout, list)
				}
				return a.printDeadList(list, choose.isSet())
			})
		},
	}
	proxy.add(cmd)
	choose.add(cmd)
	cmd.Flags().IntVar(&limit, "limit", 100, "how many letters are listed at most")
	inRange(cmd.Flags(), "limit", "1 or more")
	out.add(cmd, "table")
	return cmd
}

// listDead is one list of up to limit letters, however many answers it takes.
func listDead(ctx context.Context, client *api.Client, f api.DeadFilter, limit int) (api.DeadList, error) {
	all := api.DeadList{Letters: []api.DeadLetter{}}
	f.Limit = min(limit, api.MaxDead)
	err := eachDead(ctx, client, f, func(page api.DeadList) bool {
		all.Letters = append(all.Letters, page.Letters...)
		all.Next, all.Total = page.Next, page.Total
		return len(all.Letters) < limit
	})
	if len(all.Letters) > limit {
		all.Letters = all.Letters[:limit]
		all.Next = all.Letters[limit-1].Sequence
	}
	return all, err
}

func (a *app) printDeadList(list api.DeadList, filtered bool) (err error) {
	if len(list.Letters) > 0 {
		err = printDead(a.stdout, list.Letters)
	}
	switch {
	case list.Next > 0:
		fmt.Fprintf(a.stderr, "There may be more, of %d in all; --limit lists more of them, --since and the like fewer.\n", list.Total)
	case len(list.Letters) == 0 && filtered && list.Total > 0:
		fmt.Fprintf(a.stderr, "None of the %d dead letters matches.\n", list.Total)
	case len(list.Letters) == 0:
		fmt.Fprintln(a.stderr, "There are no dead letters.")
	}
	return err
}

// printDead prints one line for each letter.
func printDead(w io.Writer, letters []api.DeadLetter) error {
	t := newTable("SEQ", "TIME", "FROM", "TYPE", "WORKER", "FAILED", "ERROR", "MESSAGE")
	t.SetColumnConfigs([]table.ColumnConfig{
		{Name: "SEQ", Align: text.AlignRight, AlignHeader: text.AlignRight},
		{Name: "FAILED", Align: text.AlignRight, AlignHeader: text.AlignRight},
	})
	for _, l := range letters {
		t.AppendRow(table.Row{l.Sequence, l.Time.Local().Format(time.DateTime), orDash(l.From), orDash(l.Type), orDash(l.Worker),
			l.Failures, orDash(oneLine(l.Error, 60)), oneLine(payloadText(l.Message, l.Text, l.Size), 60)})
	}
	return printTable(w, t)
}

// payloadText is messageText of what may be no message.
func payloadText(msg []string, text string, size int) string {
	switch {
	case msg != nil:
		return messageText(msg)
	case text != "" || size == 0:
		return orDash(text)
	}
	return fmt.Sprintf("(%d bytes, not text)", size)
}

// messageText is the arguments of a message as a person reads them: those that are not one plain word in quotes.
func messageText(msg []string) string {
	var args []string
	for _, arg := range msg[min(2, len(msg)):] {
		if quoted := strconv.Quote(arg); arg == "" || strings.Contains(arg, " ") || quoted != `"`+arg+`"` {
			arg = quoted
		}
		args = append(args, arg)
	}
	return orDash(strings.Join(args, " "))
}

// oneLine keeps a column narrow, and what a worker wrote from moving the cursor.
func oneLine(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return s
}
