//go:build linux

package faults

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// programs are what the faults happen to.
var programs = []string{"./cmd/damrey", "./test/faults/faultworker", "./test/faults/faultbroker"}

// sources lists what the programs are built of: every file of this module that
// the compiler reads or that is embedded, the directories in which more of them
// could come, and what names the versions of other modules.
func sources(root string) ([]string, error) {
	cmd := exec.Command("go", append([]string{"list", "-deps", "-json=Dir,Module,GoFiles,CgoFiles,EmbedFiles"}, programs...)...)
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", cmd, err, &stderr)
	}
	paths := []string{filepath.Join(root, "go.mod"), filepath.Join(root, "go.sum")}
	for packages := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			Dir                           string
			Module                        *struct{ Main bool }
			GoFiles, CgoFiles, EmbedFiles []string
		}
		if err := packages.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if p.Module == nil || !p.Module.Main {
			continue
		}
		for _, file := range slices.Concat(p.GoFiles, p.CgoFiles, p.EmbedFiles) {
			path := filepath.Join(p.Dir, file)
			paths = append(paths, path, filepath.Dir(path))
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths), nil
}

// dependOnProduct lets `go test` know that what it remembers of this test is
// old when the product changed: it looks at the files that a test looks at,
// once the tests run.
func dependOnProduct(t testing.TB) {
	t.Helper()
	for _, path := range product {
		_, err := os.Stat(path)
		must(t, err)
	}
}

// What is embedded, and what only another package of the product needs, are
// among the sources.
func TestProduct_IsAllThatTheProgramsAreBuiltOf(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	must(t, err)
	for _, path := range []string{
		"go.sum", "message.go", "cmd/damrey/main.go", "internal/view", "internal/view/view.go",
		"proxyd/web/static/index.html", "proxyd/web/static", "test/faults/faultworker/main.go",
	} {
		if !slices.Contains(product, filepath.Join(root, path)) {
			t.Errorf("%s is not among the %d sources", path, len(product))
		}
	}
	dependOnProduct(t)
}
