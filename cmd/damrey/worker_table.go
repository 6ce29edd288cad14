package main

import (
	"cmp"
	"io"
	"slices"
	"strconv"

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
// column PAUSED is there when something is.
func printRegistrations(w io.Writer, regs []damrey.Registration) error {
	header := []any{"NAME", "MPU", "AGENT", "TYPE", "WORKER", "COST", "BATCH", "DELIVERY"}
	pauses := slices.ContainsFunc(regs, hasPaused)
	if pauses {
		header = append(header, "PAUSED")
	}
	t := newTable(header...)
	t.SetColumnConfigs([]table.ColumnConfig{
		{Name: "MPU", Align: text.AlignRight, AlignHeader: text.AlignRight},
		{Name: "COST", Align: text.AlignRight, AlignHeader: text.AlignRight},
		{Name: "BATCH", Align: text.AlignRight, AlignHeader: text.AlignRight},
	})
	for _, reg := range regs {
		own := table.Row{reg.Name, reg.Capacity(), orDash(reg.Agent)}
		line := func(paused string, cells ...any) {
			row := append(own[:len(own):len(own)], cells...)
			if pauses {
				row = append(row, paused)
			}
			t.AppendRow(row)
		}
		if len(reg.Commands) == 0 {
			line(pausedText(reg, damrey.Command{}), "-", "-", "-", "-", "-")
		}
		for _, c := range reg.Commands {
			line(pausedText(reg, c), c.Name, c.Worker, c.Cost(), batchText(c), deliveryText(c))
		}
	}
	return printTable(w, t)
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
