package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newTestApp(stdout, stderr *bytes.Buffer, env map[string]string) *app {
	lookup := func(name string) (string, bool) { value, ok := env[name]; return value, ok }
	return &app{stdin: strings.NewReader(""), stdout: stdout, stderr: stderr, lookup: lookup}
}

// TestHelp_IsAsWritten compares the help of every verb with its file; -update writes the files anew.
func TestHelp_IsAsWritten(t *testing.T) {
	t.Parallel()
	root := newRoot(newTestApp(new(bytes.Buffer), new(bytes.Buffer), nil))
	want := make(map[string]bool)
	eachVerb(root, func(cmd *cobra.Command) {
		path := strings.Fields(cmd.CommandPath())[1:]
		file := filepath.Join("testdata", "help", strings.Join(append([]string{"damrey"}, path...), "_")+".txt")
		want[file] = true
		var stdout, stderr bytes.Buffer
		if code := execute(append(path, "--help"), newTestApp(&stdout, &stderr, nil)); code != exitOK || stderr.Len() > 0 {
			t.Errorf("%s --help: code %d, %s", cmd.CommandPath(), code, &stderr)
		}
		cmd.Flags().VisitAll(func(flag *pflag.Flag) { // pflag counts bytes to find the column
			if value, _ := pflag.UnquoteUsage(flag); strings.ContainsFunc(value, func(r rune) bool { return r > unicode.MaxASCII }) {
				t.Errorf("%s --%s: the value's name %s is not all ASCII, and its line is out of line", cmd.CommandPath(), flag.Name, value)
			}
		})
		if *update {
			if err := os.WriteFile(file, stdout.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
		golden, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(golden, stdout.Bytes()) {
			t.Errorf("%s --help is not as in %s; look at it, then `go test ./cmd/damrey -update`:\n%s", cmd.CommandPath(), file, &stdout)
		}
	})
	files, err := filepath.Glob(filepath.Join("testdata", "help", "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !want[file] {
			t.Errorf("%s belongs to no verb", file)
		}
	}
}

// eachVerb leaves out what cobra itself brings.
func eachVerb(cmd *cobra.Command, f func(*cobra.Command)) {
	if name := cmd.Name(); name == "help" || name == "completion" {
		return
	}
	f(cmd)
	for _, sub := range cmd.Commands() {
		eachVerb(sub, f)
	}
}
