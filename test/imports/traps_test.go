package imports

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Methods of nats.go and nats-server that do not do what they seem to, and what to call in their place. All were measured.
var traps = map[string]string{
	"Nak":                    "the message comes again at once, and again: NakWithDelay",
	"AddMapping":             "the server looks at its mappings one by one: routes belong into the table",
	"AddWeightedMappings":    "the server looks at its mappings one by one: routes belong into the table",
	"RemoveMapping":          "it removes others too: routes belong into the table",
	"CreateOrUpdateKeyValue": "it switches off what others have switched on: bucket.Ensure",
	"AddService":             "it answers to any reply subject, into the routing table too: internal/service",
	"CreateOrUpdateStream":   "it switches off what others have switched on: read, merge, and write the fields that are ours",
}

func TestTrap_NobodyCallsWhatIsOne(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		for _, name := range p.GoFiles {
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, call := range trapsIn(file) {
				t.Errorf("%s: %s: %s", files.Position(call.Pos()), call.Name, traps[call.Name])
			}
		}
	}
}

func TestTrapsIn_FindsCalls(t *testing.T) {
	t.Parallel()
	const code = `package p
func f() { m.NakWithDelay(1); m.Nak(); go func() { js.CreateOrUpdateKeyValue(ctx, cfg) }() }`
	file, err := parser.ParseFile(token.NewFileSet(), "p.go", code, 0)
	if err != nil {
		t.Fatal(err)
	}
	if found := trapsIn(file); len(found) != 2 || found[0].Name != "Nak" || found[1].Name != "CreateOrUpdateKeyValue" {
		t.Errorf("found %v", found)
	}
}

// The table of measured traps in ARCHITECTURE.md names tests that there are.
func TestTrapTable_NamesTestsThatExist(t *testing.T) {
	t.Parallel()
	root, err := os.OpenRoot("../..")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	text, err := root.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "\n## Measured traps\n")
	there := make(map[string]bool)
	function := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err = fs.WalkDir(root.FS(), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		code, err := root.ReadFile(path)
		for _, match := range function.FindAllSubmatch(code, -1) {
			there[string(match[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(table, -1)
	if !found || len(named) < 20 {
		t.Fatalf("%d tests are named", len(named))
	}
	for _, match := range named {
		if !there[match[1]] {
			t.Errorf("there is no %s", match[1])
		}
	}
}

// trapsIn are the methods that a file should not name.
func trapsIn(file *ast.File) (found []*ast.Ident) {
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && traps[s.Sel.Name] != "" {
			found = append(found, s.Sel)
		}
		return true
	})
	return found
}
