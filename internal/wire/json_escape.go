package wire

import (
	"bytes"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// scanEscape checks the escape whose backslash is data[pos], and returns the index behind it.
func scanEscape(data []byte, pos, element int) (int, error) {
	if pos+1 >= len(data) {
		return pos, unclosed(data, element)
	}
	switch data[pos+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return pos + 2, nil
	case 'u':
		for i := pos + 2; i < pos+6; i++ {
			if i >= len(data) || hexValue(data[i]) < 0 {
				return pos, syntaxError(i, "expected four hexadecimal digits after \\u in element %d, found %s", element, found(data, i))
			}
		}
		return pos + 6, nil
	}
	return pos, syntaxError(pos+1, "expected one of \" \\ / b f n r t u after the backslash in element %d, found %s: write a backslash as \\\\",
		element, found(data, pos+1))
}

// unescape writes the inside of a string that scanString checked.
func unescape(out *strings.Builder, text []byte) {
	for {
		slash := bytes.IndexByte(text, '\\')
		if slash < 0 {
			out.Write(text)
			return
		}
		out.Write(text[:slash])
		text = unescapeOne(out, text[slash+1:])
	}
}

// unescapeOne writes the character whose escape text begins with, its backslash left out, and
// returns what follows.
func unescapeOne(out *strings.Builder, text []byte) []byte {
	switch c := text[0]; c {
	case 'b':
		out.WriteByte('\b')
	case 'f':
		out.WriteByte('\f')
	case 'n':
		out.WriteByte('\n')
	case 'r':
		out.WriteByte('\r')
	case 't':
		out.WriteByte('\t')
	case 'u':
		r, rest := escapedRune(text)
		out.WriteRune(r)
		return rest
	default:
		out.WriteByte(c)
	}
	return text[1:]
}

// escapedRune decodes the \u escape that text begins with, its backslash left out, together
// with a second one that completes a surrogate pair. Half a pair is U+FFFD, as RFC 8259 leaves
// open and encoding/json decides.
func escapedRune(text []byte) (rune, []byte) {
	r, rest := hexRune(text[1:5]), text[5:]
	if !utf16.IsSurrogate(r) {
		return r, rest
	}
	if len(rest) >= 6 && rest[0] == '\\' && rest[1] == 'u' {
		if pair := utf16.DecodeRune(r, hexRune(rest[2:6])); pair != utf8.RuneError {
			return pair, rest[6:]
		}
	}
	return utf8.RuneError, rest
}

func hexRune(digits []byte) (r rune) {
	for _, c := range digits {
		r = r<<4 | rune(hexValue(c))
	}
	return r
}

// hexValue returns the value of a hexadecimal digit, -1 for any other byte.
func hexValue(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
