package main

import (
	"fmt"
	"time"

	"github.com/damrey/damrey/broker"
)

// always is the word for broker.SyncAlways.
const always = "always"

// syncTime is a flag that takes broker.Config's Sync. Zero, which cannot be typed, is its default.
type syncTime time.Duration

func (s *syncTime) String() string {
	switch time.Duration(*s) {
	case 0:
		return ""
	case broker.SyncAlways:
		return always
	}
	return time.Duration(*s).String()
}

func (s *syncTime) Type() string { return always + "|DURATION" }

func (s *syncTime) Set(text string) error {
	if text == always {
		*s = syncTime(broker.SyncAlways)
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < broker.MinSync {
		return fmt.Errorf("%q is no time; use %s, or %v or more, such as %v", text, always, broker.MinSync, broker.DefaultSync)
	}
	*s = syncTime(d)
	return nil
}
