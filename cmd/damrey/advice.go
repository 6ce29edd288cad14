package main

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/shell"
)

// fabricAt is where a verb was asked to look, so that a command it advises looks at the same place. What is empty is
// not known.
type fabricAt struct{ proxy, nats, prefix string }

// standardAt is where commands look that are not told.
var standardAt = fabricAt{proxy: "127.0.0.1:8080", nats: "nats://127.0.0.1:4222", prefix: damrey.DefaultPrefix}

// fabricOf asks the proxy for the rest. One that does not say leaves it out: the command can be typed nevertheless.
func fabricOf(ctx context.Context, client *api.Client, proxy string) fabricAt {
	at := fabricAt{proxy: proxy}
	if f, err := client.Fabric(ctx); err == nil {
		at.prefix = f.Prefix
		if len(f.NATS) > 0 {
			at.nats = f.NATS[0]
		}
	}
	return at
}

// in is a command line with the flags that lead to the fabric, as far as they differ from the defaults and its verb has
// them. What is no single command of this program or of nats stays as it is.
func (at fabricAt) in(root *cobra.Command, line string) string {
	words := strings.Fields(line)
	if rest, is := strings.CutPrefix(line, "nats "); is && at.nats != "" && at.nats != standardAt.nats && !slices.Contains(words, "--server") {
		return "nats --server " + shell.Word(withoutPassword(at.nats)) + " " + rest
	}
	if len(words) < 2 || words[0] != "damrey" {
		return line
	}
	cmd, _, err := root.Find(words[1:])
	if err != nil || cmd == root || cmd.Name() == "proxy" || cmd.Name() == "dev" { // their --nats is of another meaning
		return line
	}
	flags := ""
	for _, f := range []struct{ name, value, standard string }{
		{"proxy", at.proxy, standardAt.proxy}, {"nats", at.nats, standardAt.nats}, {"prefix", at.prefix, standardAt.prefix},
	} {
		if f.value != "" && f.value != f.standard && cmd.Flags().Lookup(f.name) != nil && !slices.Contains(words, "--"+f.name) {
			flags += " --" + f.name + " " + shell.Word(withoutPassword(f.value))
		}
	}
	if i := strings.Index(line, " -- "); i >= 0 {
		return line[:i] + flags + line[i:]
	}
	return line + flags
}

var password = regexp.MustCompile(`(://[^:@/,]*):[^@/,]*@`)

// withoutPassword keeps it out of logs and of the terminal.
func withoutPassword(address string) string { return password.ReplaceAllString(address, "$1:xxxxx@") }

// advised are alarms whose commands lead to where they were found.
func (at fabricAt) advised(root *cobra.Command, alarms []api.Alarm) []api.Alarm {
	alarms = slices.Clone(alarms)
	for i := range alarms {
		alarms[i].Do = at.in(root, alarms[i].Do)
	}
	return alarms
}

// withHint has the hint as a shell's comment, so that the line can be typed as it is.
func withHint(do, hint string) string {
	if hint == "" {
		return do
	}
	return do + "  # " + hint
}
