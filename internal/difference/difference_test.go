package difference_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/difference"
)

func registration(t *testing.T, text string) *damrey.Registration {
	t.Helper()
	if text == "" {
		return nil
	}
	var reg damrey.Registration
	if err := json.Unmarshal([]byte(text), &reg); err != nil {
		t.Fatal(err)
	}
	return &reg
}

func TestBetween(t *testing.T) {
	t.Parallel()
	const entry = `{"name":"entry","commands":[{"name":"add","worker":"add"},{"name":"log","worker":"audit","batch":64}]}`
	for _, c := range []struct{ before, after, want string }{
		{"", "", ""},
		{entry, entry, ""},
		{"", `{"name":"add"}`, "added"},
		{"", entry, "added; route add → add added; route log → audit added; route log: batch default → 64"},
		{entry, "", "deleted"},
		{entry, `{"name":"entry","mpu":1,"commands":[{"name":"add","worker":"add2"}]}`,
			"mpu default → 1; route add: worker add → add2; route log → audit removed"},
		{entry, `{"name":"entry","commands":[{"name":"log","worker":"audit","batch":64},{"name":"add","worker":"add"}]}`, ""},
		{`{"name":"a","agent":"x y","color":"red"}`, `{"name":"a","color":"\u001b[31m","paused":true}`,
			`agent x y → none; color red → "\x1b[31m"; paused default → true`},
		{`{"name":"a","commands":[{"name":"*","worker":"b"}]}`, `{"name":"a","commands":[{"name":"*","worker":"b","delivery":"durable","key":0}]}`,
			"route *: delivery default → durable; route *: key default → 0"},
	} {
		got, err := difference.Between(registration(t, c.before), registration(t, c.after))
		if err != nil || strings.Join(got, "; ") != c.want {
			t.Errorf("from %s to %s: %q, %v", c.before, c.after, got, err)
		}
	}
}
