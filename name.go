package damrey

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// DefaultPrefix is the first token of every subject of a fabric, and the start
// of the names of its buckets and streams.
const DefaultPrefix = "damrey"

const (
	maxName   = 64
	maxPrefix = 16
	maxAgent  = 128
	// reserved begins the names of the fabric's own services in `nats micro ls`.
	reserved = "damrey-"
)

// CheckName says whether s may name a worker, a type or an instance: 1 to 64
// of A–Z a–z 0–9 _ -. The error names the character and its position.
func CheckName(s string) error { return checkToken(s, maxName) }

// CheckPrefix says whether s may be a fabric's prefix: one name of at most 16
// that begins with a letter or a digit. NATS keeps subjects that begin with _
// for itself, such as _INBOX, and the inboxes of the fabric's own connections
// are among them; a command line takes what begins with - for a flag.
func CheckPrefix(s string) error {
	if err := checkToken(s, maxPrefix); err != nil {
		return err
	}
	switch s[0] {
	case '_':
		return fmt.Errorf("%q: NATS keeps subjects that begin with '_' for itself, such as _INBOX; begin with a letter or a digit", s)
	case '-':
		return fmt.Errorf("%q: begins with '-', as a flag does; begin with a letter or a digit", s)
	}
	return nil
}

// CheckAgentName says whether an agent may run under the name s: what a
// registration may pin to, unless it is a URL or a path.
func CheckAgentName(s string) error {
	if err := checkAgent(s); err != nil {
		return err
	}
	switch {
	case s == "":
		return errors.New("is empty; use the address that the agent advertises, such as 10.1.2.3:4222")
	case s == "." || s == ".." || strings.Contains(s, "/"):
		return fmt.Errorf("%q: an agent's name is an address such as 10.1.2.3:4222, no path and no URL", s)
	}
	return nil
}

// CheckWorkerName is CheckName, and refuses the names that the fabric keeps
// for itself.
func CheckWorkerName(s string) error {
	if err := CheckName(s); err != nil {
		return err
	}
	if strings.HasPrefix(s, reserved) {
		return fmt.Errorf("%q: names beginning %q belong to the fabric; choose another", s, reserved)
	}
	return nil
}

// checkAgent: an agent is named by its advertised address, which is also its
// NATS server name; anything printable without spaces will do.
func checkAgent(s string) error {
	if len(s) > maxAgent {
		return fmt.Errorf("%.20q…: %d characters, at most %d are allowed", s, len(s), maxAgent)
	}
	for i, r := range s {
		if r <= ' ' || r > '~' {
			return fmt.Errorf("%q: character %q at position %d is not allowed in an agent's name, such as 10.1.2.3:8080", s, r, i+1)
		}
	}
	return nil
}

func checkToken(s string, limit int) error {
	if s == "" {
		return fmt.Errorf("is empty; 1 to %d of A-Z a-z 0-9 _ - are allowed", limit)
	}
	for i := range len(s) {
		if !nameByte(s[i]) { // what is before it has one byte a character
			r, _ := utf8.DecodeRuneInString(s[i:])
			return fmt.Errorf("%q: character %q at position %d is not allowed; use A-Z a-z 0-9 _ -", clip(s), r, i+1)
		}
	}
	if len(s) > limit {
		return fmt.Errorf("%q: %d characters, at most %d are allowed", clip(s), len(s), limit)
	}
	return nil
}

func nameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}

// clip keeps a value that is quoted in an error readable.
func clip(s string) string {
	if len(s) <= 80 {
		return s
	}
	n := 77
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}

func quoteClip(s string) string { return strconv.Quote(clip(s)) }
