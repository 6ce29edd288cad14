package wire

import "unicode/utf8"

const hexDigits = "0123456789abcdef"

// appendJSON appends msg as a JSON array of strings. It returns false, and a dst without
// meaning behind its old length, as soon as an element is not valid UTF-8.
func appendJSON(dst []byte, msg []string) ([]byte, bool) {
	if len(msg) == 0 {
		return append(dst, "[]"...), true
	}
	between := `["`
	for _, s := range msg {
		dst = append(dst, between...)
		between = `","`
		if isPlain(s) {
			dst = append(dst, s...)
			continue
		}
		var ok bool
		if dst, ok = appendEscaped(dst, s, plainEnd(s, 0)); !ok {
			return dst, false
		}
	}
	return append(dst, `"]`...), true
}

// appendEscaped appends s, of which everything before pos is plain, as the inside of a JSON
// string. It returns false when s is not valid UTF-8.
func appendEscaped(dst []byte, s string, pos int) ([]byte, bool) {
	from := 0 // s[from:pos] stands for itself and is not appended yet
	for pos < len(s) {
		c := s[pos]
		if c < utf8.RuneSelf {
			dst = append(dst, s[from:pos]...)
			dst = appendEscape(dst, c)
			from = pos + 1
			pos = plainEnd(s, from)
			continue
		}
		r, size := utf8.DecodeRuneInString(s[pos:])
		if r == utf8.RuneError && size == 1 {
			return dst, false
		}
		if r == '\u2028' || r == '\u2029' { // line ends to JavaScript; encoding/json escapes them always
			dst = append(dst, s[from:pos]...)
			dst = append(dst, `\u202`...)
			dst = append(dst, hexDigits[r&0xf])
			from = pos + size
		}
		pos += size
		if pos < len(s) && s[pos] < utf8.RuneSelf {
			pos = plainEnd(s, pos)
		}
	}
	return append(dst, s[from:]...), true
}

// appendEscape appends the escape of a control character, the quote or the backslash, in the
// short form wherever encoding/json uses it.
func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
}
