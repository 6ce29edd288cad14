package wire

import "bytes"

// notString is the error for whatever stands at data[pos] where the string of an element should.
func notString(data []byte, pos, element int) error {
	kind, advice := jsonKind(data[min(pos, len(data)):])
	switch {
	case kind != "":
		return syntaxError(pos, "element %d is %s, but a message is an array of strings only: %s", element, kind, advice)
	case pos < len(data) && data[pos] != ']':
		return syntaxError(pos, "expected a string as element %d, found %s", element, found(data, pos))
	case element == 1:
		return syntaxError(pos, "expected a string or ']' as element 1, found %s", found(data, pos))
	}
	return syntaxError(pos, "expected a string after the comma, found %s", found(data, pos))
}

// jsonKind names the kind of JSON value that b begins with, and what to write instead of it in
// a message; both are empty when b begins with none or with a string.
func jsonKind(b []byte) (kind, advice string) {
	const quote, text = "write it in quotes", "write it as JSON text inside a string"
	begins := func(s string) bool { return bytes.HasPrefix(b, []byte(s)) }
	switch {
	case len(b) == 0:
		return "", ""
	case b[0] == '-' || '0' <= b[0] && b[0] <= '9':
		return "a number", quote
	case b[0] == '[':
		return "an array", text
	case b[0] == '{':
		return "an object", text
	case begins("true"), begins("false"):
		return "a boolean", quote
	case begins("null"):
		return "null", `write "" for an empty one`
	}
	return "", ""
}

// notNext is the error for whatever stands at data[pos], behind an element, where a comma or
// the end should.
func notNext(data []byte, pos, element int) error {
	return syntaxError(pos, "expected ',' or ']' after element %d, found %s", element, found(data, pos))
}

// unclosed is the error for a string that goes on to the end of data.
func unclosed(data []byte, element int) error {
	return syntaxError(len(data), "the payload ends inside element %d: its closing '\"' is missing", element)
}
