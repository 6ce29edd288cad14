// Package shell writes what a shell reads.
package shell

import (
	"regexp"
	"strings"
)

var plain = regexp.MustCompile(`^[A-Za-z0-9_./:,@%+=-]+$`)

// Word is s as one word of a command line, quoted where a shell would not take it as it is.
func Word(s string) string {
	if plain.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
