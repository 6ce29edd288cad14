//go:build linux

package faults

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
)

// table gathers what was sent, how it was answered, and how long recovery took.
type table struct {
	mu    sync.Mutex // guards what follows
	rows  []row
	holds []string // what processes held before and after, by fault
	left  []string // faults that were not run
}

type row struct{ fault, load, sent, answered, latest, recovery string }

func (t *table) add(r row) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, r)
}

// hold enters what processes held before a fault and after it.
func (t *table) hold(fault, what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.holds = append(t.holds, fault+"\t"+what)
}

func (t *table) leave(fault string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left = append(t.left, fault)
}

func (t *table) print(to io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.rows) > 0 {
		w := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "fault\tload\tsent\tanswered\tlatest, of its deadline\trecovery")
		for _, r := range t.rows {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.fault, r.load, r.sent, r.answered, r.latest, r.recovery)
		}
		_ = w.Flush() // to a terminal or a pipe whose reader has left
	}
	if len(t.holds) > 0 {
		w := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "fault\theld before→after")
		for _, h := range t.holds {
			fmt.Fprintln(w, h)
		}
		_ = w.Flush()
	}
	if len(t.left) > 0 {
		fmt.Fprintf(to, "left out, run them with `make faults`: %s\n", strings.Join(t.left, ", "))
	}
}

// fault is the name of a test in the table.
func fault(t testing.TB) string { return strings.TrimPrefix(t.Name(), "TestFault_") }
