package imports

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	module     = "github.com/damrey/damrey"
	natsServer = "github.com/nats-io/nats-server"
	cobra      = "github.com/spf13/cobra"
	otelSDK    = "go.opentelemetry.io/otel/sdk"
	exporters  = "go.opentelemetry.io/otel/exporters"
)

// A rule says what the packages of one room may import besides the standard
// library. Paths within the module are written without its name, "." is the
// root package; "…/" at the end takes all below.
type rule struct {
	room    string
	damrey  []string // packages of this module
	outside []string // modules of others; nil: any but those that a rule keeps for one room
}

// The first rule whose room a package lies in holds for it. A package without
// a rule fails the test, so that a new room gets its place here.
var rules = []rule{
	{room: "internal/api", damrey: []string{".", "internal/…"}, outside: []string{}},
	{room: "internal/stdio", damrey: []string{".", "internal/…"}, outside: []string{"github.com/rs/zerolog"}},
	{room: "internal/difference", damrey: []string{"."}, outside: []string{}},
	{room: "internal/view", damrey: []string{".", "internal/…"}, outside: []string{"github.com/segmentio/encoding"}},
	{room: "internal/snapshot", damrey: []string{"internal/…"},
		outside: []string{"github.com/nats-io/nats.go", "github.com/klauspost/compress"}},
	{room: "internal/browser", damrey: []string{}, outside: []string{"github.com/chromedp"}},
	{room: "internal/…", damrey: []string{"internal/…"},
		outside: []string{"github.com/nats-io/nats.go", "github.com/tinylib/msgp"}},
	{room: ".", damrey: []string{"internal/wire", "internal/bucket", "internal/inbox", "internal/report", "internal/service", "internal/syntax"},
		outside: []string{"github.com/nats-io/nats.go", "github.com/nats-io/nuid", "github.com/rs/zerolog", "go.opentelemetry.io/otel"}},
	{room: "broker", damrey: []string{".", "internal/…"}},
	{room: "proxyd/web", damrey: []string{}, outside: []string{}},
	{room: "proxyd", damrey: []string{".", "internal/…", "proxyd/web"}},
	{room: "agentd", damrey: []string{".", "internal/…"}},
	{room: "damreytest", damrey: []string{".", "internal/…", "broker", "proxyd", "agentd"}},
	{room: "bench", damrey: []string{".", "internal/…", "broker", "damreytest"}},
	{room: "chaos", damrey: []string{".", "internal/…"}},
	{room: "cmd/…", damrey: []string{".", "internal/…", "broker", "proxyd", "agentd", "bench", "chaos"}},
	{room: "examples/…", damrey: []string{"."}, outside: []string{"github.com/nats-io/nats.go", "github.com/rs/zerolog"}},
	{room: "test/…", damrey: []string{".", "internal/…", "broker", "proxyd", "agentd", "damreytest", "test/faults/tell"}},
}

// Modules that only some rooms may import, by their path's beginning.
var reserved = map[string][]string{
	natsServer: {"broker", "damreytest"},
	cobra:      {"cmd/…"},
	otelSDK:    {"cmd/…"},
	exporters:  {"cmd/…"},
}

func TestImports_FollowTheFloors(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		r := ruleFor(p.name())
		if r == nil {
			t.Errorf("%s has no rule; say in rules what it may import", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			if why := r.refuses(p.name(), imported); why != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, imported, why)
			}
		}
	}
}

// The program of somebody who writes a worker must not grow by the server.
func TestImports_LibraryNeverReachesTheServer(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		if p.name() != "." && !within(p.name(), "examples/…") {
			continue
		}
		for _, dep := range p.Deps {
			if strings.HasPrefix(dep, natsServer) || strings.HasPrefix(dep, cobra) || strings.HasPrefix(dep, otelSDK) {
				t.Errorf("%s reaches %s", p.ImportPath, dep)
			}
		}
	}
}

func TestRule_RefusesWhatItDoesNotName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from, imported string
		allowed        bool
	}{
		{".", "net/http", true},
		{".", module + "/internal/wire", true},
		{".", module + "/internal/api", false},
		{".", module + "/broker", false},
		{".", natsServer + "/v2/server", false},
		{".", cobra, false},
		{"broker", natsServer + "/v2/server", true},
		{"broker", module + "/proxyd", false},
		{"proxyd", module + "/agentd", false},
		{"proxyd", natsServer + "/v2/server", false},
		{"internal/wire", module, false},
		{"internal/api", module, true},
		{"internal/bucket", module + "/internal/wire", true},
		{"cmd/damrey", cobra, true},
		{"cmd/damrey", module + "/agentd", true},
		{"cmd/damrey", natsServer + "/v2/server", false},
		{"chaos", module + "/internal/api", true},
		{"chaos", module + "/broker", false},
		{"examples/square/add", module, true},
		{"examples/square/add", module + "/internal/wire", false},
	} {
		why := ruleFor(c.from).refuses(c.from, c.imported)
		if (why == "") != c.allowed {
			t.Errorf("%s imports %s: allowed is %v, want %v (%s)", c.from, c.imported, why == "", c.allowed, why)
		}
	}
}

func ruleFor(name string) *rule {
	for i := range rules {
		if within(name, rules[i].room) {
			return &rules[i]
		}
	}
	return nil
}

// refuses says why the package must not import this; "" when it may.
func (r *rule) refuses(name, imported string) string {
	if own, ok := ownName(imported); ok {
		if !withinAny(own, r.damrey) {
			return "of this module, " + r.room + " may import only " + strings.Join(r.damrey, ", ")
		}
		return ""
	}
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return "" // standard library
	}
	for module, rooms := range reserved {
		if strings.HasPrefix(imported, module) && !withinAny(name, rooms) {
			return "only " + strings.Join(rooms, ", ") + " may"
		}
	}
	if r.outside != nil && !slices.ContainsFunc(r.outside, func(m string) bool { return imported == m || strings.HasPrefix(imported, m+"/") }) {
		return "of others, " + r.room + " may import only " + strings.Join(r.outside, ", ")
	}
	return ""
}

func withinAny(name string, rooms []string) bool {
	return slices.ContainsFunc(rooms, func(room string) bool { return within(name, room) })
}

func within(name, room string) bool {
	if above, all := strings.CutSuffix(room, "/…"); all {
		return strings.HasPrefix(name, above+"/")
	}
	return name == room
}

// pkg is what `go list -json` tells of a package. Imports are those of its
// code without its tests; Deps are all that it reaches.
type pkg struct {
	Dir        string
	ImportPath string
	GoFiles    []string
	Imports    []string
	Deps       []string
}

// touch reads the package's files, so that `go test` sees that this test's
// result depends on them and does not give an old one from its cache.
func (p pkg) touch(t *testing.T) {
	t.Helper()
	for _, file := range p.GoFiles {
		if _, err := os.ReadFile(filepath.Join(p.Dir, file)); err != nil {
			t.Fatal(err)
		}
	}
}

func (p pkg) name() string {
	own, _ := ownName(p.ImportPath)
	return own
}

// ownName is the path of a package of this module without the module's name.
func ownName(importPath string) (string, bool) {
	if importPath == module {
		return ".", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

func listPackages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=Dir,ImportPath,GoFiles,Imports,Deps", "./...")
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		p.touch(t)
		all = append(all, p)
	}
	if len(all) == 0 {
		t.Fatal("go list found no package")
	}
	return all
}
