package main

import (
	"fmt"
	"time"
)

// moment is a flag that takes how long ago something was, or when.
type moment struct {
	text string
	ago  time.Duration
	at   time.Time // zero: ago says it
}

func (m *moment) String() string { return m.text }
func (m *moment) Type() string   { return "TIME" }

func (m *moment) Set(s string) error {
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		*m = moment{text: s, at: at}
		return nil
	}
	ago, err := time.ParseDuration(s)
	if err != nil || ago < 0 {
		return fmt.Errorf("%q is neither a duration, such as 1h30m, nor a time, such as 2026-01-02T15:04:05Z", s)
	}
	*m = moment{text: s, ago: ago}
	return nil
}

// time is zero when the flag was not given.
func (m *moment) time() time.Time {
	if m.text == "" || !m.at.IsZero() {
		return m.at
	}
	return time.Now().Add(-m.ago)
}
