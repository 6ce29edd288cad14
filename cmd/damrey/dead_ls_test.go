package main

import "testing"

func TestPayloadText_ShowsWhatCanBeRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		msg  []string
		text string
		size int
		want string
	}{
		{[]string{"REQUEST", "pay", "42", "a b", ""}, "", 30, `42 "a b" ""`},
		{[]string{"REQUEST", "pay"}, "", 17, "-"},
		{nil, "hello", 5, "hello"},
		{nil, "{}", 2, "{}"},
		{nil, "", 0, "-"},
		{nil, "", 5, "(5 bytes, not text)"},
	} {
		if got := payloadText(c.msg, c.text, c.size); got != c.want {
			t.Errorf("%v %q %d: %s", c.msg, c.text, c.size, got)
		}
	}
}
