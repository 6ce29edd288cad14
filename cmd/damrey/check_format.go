package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/damrey/damrey/internal/api"
)

func (r checkResult) print(w io.Writer, format string) error {
	switch format {
	case "json":
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	case "prometheus":
		return r.printPrometheus(w)
	case "text":
		return r.printText(w)
	}
	return r.printNagios(w)
}

// printNagios has what is measured behind a bar on the first line, so no other bar may stand there.
func (r checkResult) printNagios(w io.Writer) error {
	var text strings.Builder
	fmt.Fprintf(&text, "DAMREY %s - %s", r.Status, noBar(r.Text))
	if r.Code != checkUnknown {
		text.WriteString(" |")
		for _, severity := range severities {
			fmt.Fprintf(&text, " %s=%d", severity, countOf(r.Firing, severity))
		}
	}
	text.WriteByte('\n')
	for _, one := range r.Firing {
		fmt.Fprintln(&text, noBar(alarmLine(one)))
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func noBar(s string) string { return strings.ReplaceAll(oneLine(s, 500), "|", "/") }

func alarmLine(one api.Alarm) string {
	line := fmt.Sprintf("%s %s: %s; type: %s", one.Severity, one.ID, one.Says(), withHint(one.Do, one.Hint))
	if one.Acked != nil {
		line += " (seen by " + one.Acked.By + ")"
	}
	return line
}

func (r checkResult) printText(w io.Writer) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s: %s\n", r.Status, oneLine(r.Text, 500))
	for _, one := range r.Firing {
		fmt.Fprintln(&text, oneLine(alarmLine(one), 500))
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// printPrometheus is for the textfile collector of node_exporter.
func (r checkResult) printPrometheus(w io.Writer) error {
	var text strings.Builder
	text.WriteString("# HELP damrey_check_status What damrey check found: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.\n# TYPE damrey_check_status gauge\n")
	fmt.Fprintf(&text, "damrey_check_status %d\n", r.Code)
	if r.Code != checkUnknown {
		text.WriteString("# HELP damrey_check_alarms Alarms that fire and are not silenced, by severity.\n# TYPE damrey_check_alarms gauge\n")
		for _, severity := range severities {
			fmt.Fprintf(&text, "damrey_check_alarms{severity=%q} %d\n", severity, countOf(r.Firing, severity))
		}
	}
	if len(r.Firing) > 0 {
		text.WriteString("# HELP damrey_check_alarm An alarm that fires.\n# TYPE damrey_check_alarm gauge\n")
	}
	for _, one := range r.Firing {
		fmt.Fprintf(&text, "damrey_check_alarm{rule=\"%s\",severity=\"%s\",about=\"%s\",worker=\"%s\"} 1\n",
			label(one.Rule), label(one.Severity), label(one.About), label(one.Worker))
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// label escapes as the text format asks for.
func label(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(strings.ToValidUTF8(s, "?"))
}
