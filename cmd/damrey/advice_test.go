package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/damrey/damrey/internal/alarm"
	"github.com/damrey/damrey/internal/api"
)

// parse reads a command line as a shell and this program do, without running it. What is not of this program is only read
// by the shell.
func parse(t *testing.T, line string) (*cobra.Command, []string) {
	t.Helper()
	out, err := exec.Command("sh", "-c", "printf '%s\\0' "+line).Output()
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	words := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	if words[0] != "damrey" {
		return nil, words
	}
	a := newTestApp(new(bytes.Buffer), new(bytes.Buffer), nil)
	cmd, args, err := newRoot(a).Find(words[1:])
	if err == nil {
		err = cmd.ParseFlags(args)
	}
	if err == nil {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	if err == nil {
		err = a.checkGroups(cmd)
	}
	if err != nil {
		t.Errorf("%s: %v", line, err)
	}
	return cmd, words
}

// everythingWrong has alarms of all rules.
func everythingWrong(t *testing.T) []api.Alarm {
	t.Helper()
	now := time.Now()
	instance := func(worker, state string, skew float64) api.Instance {
		return api.Instance{Worker: worker, ID: worker + "1", Host: "h-" + worker, State: state, Started: now.Add(-time.Hour), Heard: now.Add(-time.Second), Skew: skew}
	}
	flow := func(change func(*api.Edge)) api.Edge {
		e := api.Edge{From: "a", Type: "t", To: "b", Declared: true}
		change(&e)
		return e
	}
	facts := alarm.Facts{
		At: now, Since: now.Add(-time.Hour), Window: 15,
		Nodes: []api.Node{
			{Name: "a", Registered: true, Ready: 1, Instances: 1}, {Name: "b", Registered: true}, {Name: "c", Registered: true, Instances: 1},
		},
		Edges: []api.Edge{
			flow(func(e *api.Edge) {
				e.Handled, e.Failed, e.Timeouts, e.Busy, e.P99, e.Undelivered = 100, 50, 50, 50, 1e5, 9
			}),
			flow(func(e *api.Edge) { e.Type, e.Handled, e.Failed = "*", 100, 50 }),
			flow(func(e *api.Edge) { e.Type, e.Handled, e.Failed = "-x", 100, 50 }),
			flow(func(e *api.Edge) { e.To = "nowhere" }),
			flow(func(e *api.Edge) {
				e.To, e.Type = "c", "*"
				e.Durable = &api.Backlog{Stored: 9, Limit: 9, Fill: 1, OldestAge: 1e4, Dead: 3}
			}),
			flow(func(e *api.Edge) { e.To = "c"; e.Durable = &api.Backlog{Dead: 3} }),
		},
		Instances: []api.Instance{instance("a", "ready", 0), instance("b", "lost", 0), instance("c", "ready", 100)},
		Agents:    []api.Agent{{Name: "it's;$(away)", Host: "far", Renewed: now.Add(-time.Minute)}},
		Disks:     []alarm.Disk{{Name: "/data", Used: 99, Total: 100}},
		Replicas:  []alarm.Replica{{Stream: "S", Server: "n2", Offline: true}},
	}
	for i := range 300 { // more than there may be of one rule
		facts.Edges = append(facts.Edges, api.Edge{From: "a", Type: "t" + string(rune('a'+i%26)) + strings.Repeat("x", i/26), To: "c", Flow: api.Flow{Undelivered: 5}})
	}
	m := alarm.NewMachine(nil)
	m.Step(now, 0, alarm.Standard(), facts)
	var all []api.Alarm
	for _, e := range m.Entries() {
		all = append(all, e.Alarm)
	}
	for _, rule := range alarm.Names() {
		if !slices.ContainsFunc(all, func(one api.Alarm) bool { return one.Rule == rule }) {
			t.Errorf("no alarm of rule %s", rule)
		}
	}
	return all
}

func TestAlarms_SayWhatCanBeTyped(t *testing.T) {
	t.Parallel()
	for _, one := range everythingWrong(t) {
		cmd, words := parse(t, one.Do)
		if cmd == nil && !slices.Contains([]string{"nats", "df", "timedatectl"}, words[0]) {
			t.Errorf("%s: %q is no command", one.ID, one.Do)
		}
		if strings.ContainsAny(strings.ReplaceAll(one.Do, "it's;$(away)", ""), ",`") {
			t.Errorf("%s: %q has prose in it", one.ID, one.Do)
		}
	}
}

func TestPage_SaysWhatCanBeTyped(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("node is not there; apt-get install nodejs")
		}
		t.Skip("node is not there, so the page's commands are not tested; apt-get install nodejs")
	}
	module, err := filepath.Abs("../../proxyd/web/static/commands.js")
	if err != nil {
		t.Fatal(err)
	}
	var dos []string
	for _, one := range everythingWrong(t) {
		dos = append(dos, one.Do)
	}
	for _, c := range []struct {
		page, nats, prefix string
		want               fabricAt // what is empty is not said
	}{
		{"http://127.0.0.1:8080/", "nats://127.0.0.1:4222", "damrey", fabricAt{}},
		{"http://localhost:8080/", "", "", fabricAt{}},
		{"http://10.1.2.3:18480/", "nats://10.1.2.3:14222", "shop", fabricAt{"10.1.2.3:18480", "nats://10.1.2.3:14222", "shop"}},
		{"https://damrey.example.com/", "nats://127.0.0.1:4222", "damrey", fabricAt{proxy: "https://damrey.example.com"}},
	} {
		asked, err := json.Marshal(map[string]any{"page": c.page, "dos": dos, "fabric": api.Fabric{NATS: []string{c.nats}, Prefix: c.prefix}})
		if err != nil {
			t.Fatal(err)
		}
		print := exec.Command(node, "testdata/commands.mjs", module)
		print.Stdin = bytes.NewReader(asked)
		var stderr bytes.Buffer
		print.Stderr = &stderr
		out, err := print.Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, &stderr)
		}
		var lines []string
		if err := json.Unmarshal(out, &lines); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		filters := make(map[string]bool)
		for _, line := range lines {
			cmd, _ := parse(t, line)
			if cmd == nil {
				continue
			}
			c.want.mustBeIn(t, line, cmd)
			if cmd.Name() == "top" && cmd.Flags().Changed("once") {
				filters[cmd.Flags().Arg(0)+": "+cmd.Flags().Lookup("filter").Value.String()] = true
			}
		}
		for _, want := range []string{"instances: b", "instances: -b", "routes: a t b", "routes: a * b", "routes: a -t b"} {
			if !filters[want] {
				t.Errorf("no line shows the figures of %s: %q", want, lines)
			}
		}
	}
}

// mustBeIn fails when a parsed command does not look where it is wanted to.
func (at fabricAt) mustBeIn(t *testing.T, line string, cmd *cobra.Command) {
	t.Helper()
	for name, want := range map[string]string{"proxy": at.proxy, "nats": at.nats, "prefix": at.prefix} {
		if f := cmd.Flags().Lookup(name); f != nil && (f.Changed != (want != "") || want != "" && f.Value.String() != want) {
			t.Errorf("%s: --%s is %q, not %q", line, name, f.Value, want)
		}
	}
}

func TestFabricAt_LeadsToWhereItWasAsked(t *testing.T) {
	t.Parallel()
	root := newRoot(newTestApp(new(bytes.Buffer), new(bytes.Buffer), nil))
	at := fabricAt{"10.1.2.3:18480", "nats://10.1.2.3:14222", "shop"}
	for _, one := range at.advised(root, everythingWrong(t)) {
		if cmd, _ := parse(t, one.Do); cmd != nil {
			at.mustBeIn(t, one.Do, cmd)
		}
		if plain := standardAt.in(root, one.Do); plain != one.Do {
			t.Errorf("%s became %s", one.Do, plain)
		}
	}
	for line, want := range map[string]string{
		"damrey worker run b -- COMMAND":             "damrey worker run b --nats nats://10.1.2.3:14222 --prefix shop -- COMMAND",
		"damrey worker add nowhere":                  "damrey worker add nowhere --proxy 10.1.2.3:18480",
		"damrey doctor --proxy http://x":             "damrey doctor --proxy http://x --nats nats://10.1.2.3:14222 --prefix shop",
		"damrey proxy --replicas 3":                  "damrey proxy --replicas 3",
		"nats stream report":                         "nats --server nats://10.1.2.3:14222 stream report",
		"nats --server x stream report":              "nats --server x stream report",
		"let this login publish on $JS.API.>":        "let this login publish on $JS.API.>",
		"damrey agent, which maps the domain, there": "damrey agent, which maps the domain, there",
	} {
		if got := at.in(root, line); got != want {
			t.Errorf("%s became %s", line, got)
		}
	}
	if got := (fabricAt{nats: "nats://u:secret@x:1"}).in(root, "damrey tap a"); got != "damrey tap a --nats nats://u:xxxxx@x:1" {
		t.Errorf("%s", got)
	}
}
