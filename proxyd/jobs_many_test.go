package proxyd

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// Past the supported number of streams it says so, once.
func TestKeeper_WarnsOfManyStreams(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	k := &keeper{store: &store{log: zerolog.New(&logged)}}
	targets := make(map[string]bool)
	for i := range 200 {
		targets[fmt.Sprintf("w-%d", i)] = false
	}
	k.warnOfMany(targets)
	if logged.Len() > 0 {
		t.Errorf("so many are supported: %s", &logged)
	}
	targets["one-more"] = false
	k.warnOfMany(targets)
	k.warnOfMany(targets)
	if got := logged.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"workers":201`) || !strings.Contains(got, `"supported":200`) {
		t.Errorf("it says %q", got)
	}
}
