//go:build linux

package faults

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// journal is the file in which all faultworkers of a site enter what they begin
// to handle, a line each: A or F for answered or forwarded, worker, id.
type journal struct{ path string }

func newJournal(t testing.TB) journal {
	return journal{path: filepath.Join(t.TempDir(), "journal")}
}

// runs is how often workers began to handle one id.
type runs struct {
	answered  int
	forwarded int
}

// ran counts by the numbers of a load's ids; what is no id is left out.
func (j journal) ran(t testing.TB, load string) map[int]runs {
	t.Helper()
	file, err := os.OpenFile(j.path, os.O_RDONLY|os.O_CREATE, 0o600)
	must(t, err)
	defer file.Close()
	times := make(map[int]runs)
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		letter, rest, _ := strings.Cut(lines.Text(), " ")
		_, id, _ := strings.Cut(rest, " ")
		of, number, ok := strings.Cut(id, ".")
		if !ok || of != load {
			continue
		}
		n, err := strconv.Atoi(number)
		must(t, err)
		r := times[n]
		if letter == "F" {
			r.forwarded++
		} else {
			r.answered++
		}
		times[n] = r
	}
	must(t, lines.Err())
	return times
}
