package damrey_test

import (
	"os"
	"strings"
	"testing"
)

func TestReadme_ItsWorkerIsTheExample(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	must(t, err)
	example, err := os.ReadFile("examples/handler/main.go")
	must(t, err)
	_, program, ok := strings.Cut(string(example), "package main\n")
	if !ok || !strings.Contains(string(readme), "```go\npackage main\n"+program+"```") {
		t.Error("README.md's program is not examples/handler/main.go")
	}
}
