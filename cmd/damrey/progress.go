package main

import (
	"io"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"
)

// progressBars is a bar a row on a terminal, and nothing elsewhere.
type progressBars struct {
	writer  progress.Writer // nil: not a terminal
	row     string
	tracker *progress.Tracker
}

func newProgressBars(w io.Writer) *progressBars {
	if !isTerminal(w) {
		return &progressBars{}
	}
	p := progress.NewWriter()
	p.SetOutputWriter(w)
	p.SetAutoStop(false)
	p.SetUpdateFrequency(200 * time.Millisecond)
	p.SetTrackerLength(30)
	p.Style().Visibility.ETA = true
	go p.Render()
	return &progressBars{writer: p}
}

func (b *progressBars) show(row string, done, of int) {
	if b.writer == nil {
		return
	}
	if row != b.row {
		b.finishRow()
		b.row, b.tracker = row, &progress.Tracker{Message: row, Total: int64(of)}
		b.writer.AppendTracker(b.tracker)
	}
	b.tracker.SetValue(int64(done))
}

func (b *progressBars) finishRow() {
	if b.tracker != nil {
		b.tracker.MarkAsDone()
	}
}

func (b *progressBars) end() {
	if b.writer == nil {
		return
	}
	b.finishRow()
	b.writer.Stop()
	for b.writer.IsRenderInProgress() {
		time.Sleep(10 * time.Millisecond)
	}
}
