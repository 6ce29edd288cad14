package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// rate is a flag that takes how many in a second.
type rate struct {
	text  string
	pause time.Duration // between two
}

func (r *rate) String() string { return r.text }
func (r *rate) Type() string   { return "N/s" }

func (r *rate) Set(s string) error {
	n, err := strconv.ParseFloat(strings.TrimSuffix(s, "/s"), 64)
	if err != nil || !(n >= 0.001 && n <= 1e6) {
		return fmt.Errorf("%q is no rate; use a number a second, such as 50/s", s)
	}
	*r = rate{text: s, pause: time.Duration(float64(time.Second) / n)}
	return nil
}
