package inbox

import (
	"strings"
	"testing"
)

func TestPrefixes_HaveInboxesOnly(t *testing.T) {
	t.Parallel()
	p := Prefixes{"_INBOX.", "mine."}
	for subject, want := range map[string]bool{
		"_INBOX.a":                            true,
		"mine.a":                              true,
		"_INBOX." + strings.Repeat("a", 1017): true,
		"_INBOX." + strings.Repeat("a", 1018): false,
		"":                                    false,
		"_INBOX":                              false,
		"x._INBOX.a":                          false,
		"$KV.damrey_workers.entry":            false,
		"damrey.msg.a.b.c":                    false,
	} {
		if p.Has(subject) != want {
			t.Errorf("%.40q, %d bytes: %v", subject, len(subject), !want)
		}
	}
}
