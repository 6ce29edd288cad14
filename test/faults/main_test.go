//go:build linux

package faults

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// all is the flag; FAULTS=all does the same, also for `go test ./...`, where
// other packages would not know the flag.
var all = flag.Bool("faults.all", os.Getenv("FAULTS") == "all", "run every fault, not only the quick ones")

// bin is where the programs under test are, product what they are built of, and
// summary what was seen.
var (
	bin     string
	product []string
	summary table
)

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (code int, err error) {
	bin, err = os.MkdirTemp("", "damrey-faults-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(bin)) }()
	if err := build(); err != nil {
		return 1, err
	}
	code = m.Run()
	summary.print(os.Stdout)
	return code, nil
}

func build() error {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return err
	}
	cmd := exec.Command("go", append([]string{"build", "-o", bin + string(filepath.Separator)}, programs...)...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	product, err = sources(root)
	return err
}
