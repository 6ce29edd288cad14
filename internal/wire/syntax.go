package wire

import (
	"fmt"
	"strconv"
	"unicode/utf8"
)

// SyntaxError is the error for every payload that holds something else than messages. The
// functions of this package return it as *SyntaxError.
type SyntaxError struct {
	Offset int    // bytes before the fault, counted from the start of the bytes that were given
	What   string // what was expected, what was found and, where it helps, what to write instead
}

// Error names the fault and its place; the first byte is byte 1.
func (e *SyntaxError) Error() string {
	return "malformed payload at byte " + strconv.Itoa(e.Offset+1) + ": " + e.What
}

func syntaxError(pos int, format string, args ...any) error {
	return &SyntaxError{Offset: pos, What: fmt.Sprintf(format, args...)}
}

// found names what stands at data[pos] the way a person would look for it.
func found(data []byte, pos int) string {
	if pos >= len(data) {
		return "the end of the payload"
	}
	r, size := utf8.DecodeRune(data[pos:])
	if !strconv.IsPrint(r) || r == utf8.RuneError && size == 1 {
		return fmt.Sprintf("byte 0x%02x", data[pos])
	}
	return "'" + string(r) + "'"
}
