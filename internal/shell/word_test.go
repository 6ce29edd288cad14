package shell_test

import (
	"os/exec"
	"testing"

	"github.com/damrey/damrey/internal/shell"
)

// A shell says what it reads.
func TestWord_IsReadAsItWas(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"a", "10.1.2.3:4222", "*", "", "it's", `$(touch x) "y" \`, "a b", "#", "ä"} {
		out, err := exec.Command("sh", "-c", "printf %s "+shell.Word(s)).Output()
		if err != nil || string(out) != s {
			t.Errorf("%q is written %s, and read as %q: %v", s, shell.Word(s), out, err)
		}
	}
	if got := shell.Word("nats://10.1.2.3:4222"); got != "nats://10.1.2.3:4222" {
		t.Errorf("quoted for nothing: %s", got)
	}
}
