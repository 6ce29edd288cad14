package main

import (
	"fmt"
	"io"
)

// severity of a finding. With an error the doctor ends with 1.
type severity string

const (
	failure severity = "error"
	warning severity = "warning"
	note    severity = "note"
)

// finding is one thing that is wrong.
type finding struct {
	Severity severity `json:"severity"`
	Check    string   `json:"check"`
	Where    string   `json:"where"`
	What     string   `json:"what"`
	Do       string   `json:"do"`             // a command, or what to write into a configuration
	Hint     string   `json:"hint,omitempty"` // what else to know of that, such as on which machine
}

// checked is what came of one check.
type checked struct {
	Name     string `json:"name"`
	Result   string `json:"result"` // ok, note, warning, error or skipped
	findings []finding
}

// diagnosis is what `damrey doctor` prints.
type diagnosis struct {
	Checks   []checked `json:"checks"`
	Findings []finding `json:"findings"`
}

func (d *diagnosis) add(name string, c *checked) {
	if c == nil {
		d.Checks = append(d.Checks, checked{Name: name, Result: "skipped"})
		return
	}
	c.Result = "ok"
	for _, f := range c.findings {
		f.Check = name
		if c.Result == "ok" || f.Severity.worse(severity(c.Result)) {
			c.Result = string(f.Severity)
		}
		d.Findings = append(d.Findings, f)
	}
	d.Checks = append(d.Checks, *c)
}

func (s severity) worse(than severity) bool {
	order := map[severity]int{note: 1, warning: 2, failure: 3}
	return order[s] > order[than]
}

// err is nil when nothing is an error.
func (d *diagnosis) err() error {
	n := 0
	for _, f := range d.Findings {
		if f.Severity == failure {
			n++
		}
	}
	switch n {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("1 thing is wrong")
	}
	return fmt.Errorf("%d things are wrong", n)
}

func (d *diagnosis) print(w io.Writer, color bool) error {
	for _, c := range d.Checks {
		if _, err := fmt.Fprintf(w, "%-10s %s\n", c.Name, c.Result); err != nil {
			return err
		}
	}
	for _, f := range d.Findings {
		word := string(f.Severity)
		switch {
		case color && f.Severity == failure:
			word = "\x1b[31m" + word + "\x1b[0m"
		case color && f.Severity == warning:
			word = "\x1b[33m" + word + "\x1b[0m"
		}
		if _, err := fmt.Fprintf(w, "\n%s: %s: %s\n  %s\n", word, oneLine(f.Where, 200), oneLine(f.What, 1000), oneLine(withHint(f.Do, f.Hint), 1000)); err != nil {
			return err
		}
	}
	return nil
}
