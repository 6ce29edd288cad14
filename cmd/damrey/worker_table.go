package main

import (
	"cmp"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/damrey/damrey"
)

// newTable is a table for people: no borders, so that lines can be cut and searched.
func newTable(header ...any) table.Writer {
	t := table.NewWriter()
	style := table.StyleLight
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	style.Format.Header = text.FormatDefault
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	t.AppendHeader(header)
	return t
}

// printTable returns what go-pretty would keep for itself: that the table could not be written.
func printTable(w io.Writer, t table.Writer) error {
	_, err := io.WriteString(w, t.Render()+"\n")
	return err
}

// printRegistrations prints one line for each row of the routing table. A worker without rows has a line too. The
// columns of limits, of what differs from the defaults of durable routes, and of what is paused are there when some worker
// has something in them.
func printRegistrations(w io.Writer, regs []damrey.Registration) error {
	header := []any{"NAME", "MPU", "AGENT", "TYPE", "WORKER", "COST", "BATCH", "DELIVERY"}
	columns := shownColumns(regs)
	for _, c := range columns {
		header = append(header, c.name)
	}
	t := newTable(header...)
	var right []table.ColumnConfig
	for _, name := range []string{"MPU", "COST", "BATCH", "ATTEMPTS", "BACKOFF", "WINDOW", "MAX_MESSAGES", "MAX_BYTES"} {
		right = append(right, table.ColumnConfig{Name: name, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(right)
	for _, reg := range regs {
		own := table.Row{reg.Name, reg.Capacity(), orDash(reg.Agent)}
		line := func(command damrey.Command, cells ...any) {
			row := append(own[:len(own):len(own)], cells...)
			for _, c := range columns {
				row = append(row, c.cell(reg, command))
			}
			t.AppendRow(row)
		}
		if len(reg.Commands) == 0 {
			line(damrey.Command{}, "-", "-", "-", "-", "-")
		}
		for _, c := range reg.Commands {
			line(c, c.Name, c.Worker, c.Cost(), batchText(c), deliveryText(c))
		}
	}
	return printTable(w, t)
}

// optionalColumn is a column that is there when some worker has something in it.
type optionalColumn struct {
	name string
	has  func(damrey.Registration) bool
	cell func(damrey.Registration, damrey.Command) string
}

func shownColumns(regs []damrey.Registration) []optionalColumn {
	limit := func(name string, of func(damrey.Registration) damrey.Count) optionalColumn {
		return optionalColumn{
			name: name,
			has:  func(reg damrey.Registration) bool { return of(reg) != 0 },
			cell: func(reg damrey.Registration, _ damrey.Command) string {
				if of(reg) == 0 {
					return "-"
				}
				return strconv.FormatInt(int64(of(reg)), 10)
			},
		}
	}
	own := func(name string, of func(damrey.Command) string) optionalColumn {
		return optionalColumn{
			name: name,
			has: func(reg damrey.Registration) bool {
				return slices.ContainsFunc(reg.Commands, func(c damrey.Command) bool { return of(c) != "" })
			},
			cell: func(_ damrey.Registration, c damrey.Command) string { return orDash(of(c)) },
		}
	}
	all := []optionalColumn{
		own("ATTEMPTS", func(c damrey.Command) string { return unlessZero(int(c.Attempts), strconv.Itoa(int(c.Attempts))) }),
		own("BACKOFF", func(c damrey.Command) string { return unlessZero(int(c.Backoff), time.Duration(c.Backoff).String()) }),
		own("WINDOW", func(c damrey.Command) string { return unlessZero(int(c.Window), time.Duration(c.Window).String()) }),
		limit("MAX_MESSAGES", func(reg damrey.Registration) damrey.Count { return reg.MaxMessages }),
		limit("MAX_BYTES", func(reg damrey.Registration) damrey.Count { return reg.MaxBytes }),
		{"PAUSED", hasPaused, pausedText},
	}
	return slices.DeleteFunc(all, func(c optionalColumn) bool { return !slices.ContainsFunc(regs, c.has) })
}

func hasPaused(reg damrey.Registration) bool {
	return reg.Paused || slices.ContainsFunc(reg.Commands, func(c damrey.Command) bool { return c.Paused })
}

// pausedText says which of a line's worker and route is paused.
func pausedText(reg damrey.Registration, c damrey.Command) string {
	switch {
	case reg.Paused && c.Paused:
		return "worker, route"
	case reg.Paused:
		return "worker"
	case c.Paused:
		return "route"
	}
	return "-"
}

// unlessZero is the text of a number that has no default, or another.
func unlessZero(n int, text string) string {
	if n == 0 {
		return ""
	}
	return text
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func deliveryText(c damrey.Command) string {
	text := string(cmp.Or(c.Delivery, damrey.Direct))
	if index, ok := c.Key.Index(); ok {
		text += ", key " + strconv.Itoa(index)
	}
	return text
}

func batchText(c damrey.Command) string {
	if c.Batch < 2 {
		return "-"
	}
	return strconv.Itoa(int(c.Batch))
}
