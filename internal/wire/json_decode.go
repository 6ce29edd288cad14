package wire

import (
	"strings"
	"unicode/utf8"
)

// jsonArray is what one look over a JSON array finds out, so that its elements can be made
// without another check and with exact allocations.
type jsonArray struct {
	elements []span // what stands between their quotes
	end      int    // index behind the closing bracket
	escaped  bool   // some element has an escape
}

// span is data[start:end].
type span struct{ start, end int }

// readJSON reads the array whose opening bracket is data[pos], and returns it with the index
// behind it.
func readJSON(data []byte, pos int) ([]string, int, error) {
	var room [8]span // on the stack; longer messages pay for theirs
	array, err := scanArray(data, pos, room[:0])
	if err != nil {
		return nil, pos, err
	}
	if array.escaped {
		return array.unescaped(data), array.end, nil
	}
	return array.plain(data), array.end, nil
}

// scanArray checks the array whose opening bracket is data[pos]. It appends the elements to
// room, which is a parameter because a field would move it to the heap.
func scanArray(data []byte, pos int, room []span) (array jsonArray, err error) {
	pos = skipSpace(data, pos+1)
	if pos < len(data) && data[pos] == ']' {
		array.end = pos + 1
		return array, nil
	}
	for element := 1; ; element++ {
		if pos >= len(data) || data[pos] != '"' {
			return array, notString(data, pos, element)
		}
		start, end := pos+1, plainEnd(data, pos+1)
		if end >= len(data) || data[end] != '"' {
			end, err = scanString(data, end, element, &array.escaped)
			if err != nil {
				return array, err
			}
		}
		room = append(room, span{start, end})
		pos = skipSpace(data, end+1)
		if pos >= len(data) || data[pos] != ',' {
			break
		}
		pos = skipSpace(data, pos+1)
	}
	if pos >= len(data) || data[pos] != ']' {
		return array, notNext(data, pos, len(room))
	}
	array.elements, array.end = room, pos+1
	return array, nil
}

// plain returns the elements when none has an escape. All lie in one allocation, which has the
// quotes and commas between them too: one copy is quicker than one for each.
func (a jsonArray) plain(data []byte) []string {
	msg := make([]string, len(a.elements))
	if len(msg) == 0 {
		return msg
	}
	first := a.elements[0].start
	text := string(data[first:a.elements[len(msg)-1].end])
	for i, e := range a.elements {
		msg[i] = text[e.start-first : e.end-first]
	}
	return msg
}

// unescaped returns the elements when some have escapes. All lie in one allocation.
func (a jsonArray) unescaped(data []byte) []string {
	size := 0 // at most: an escape is never shorter than what it stands for
	for _, e := range a.elements {
		size += e.end - e.start
	}
	var text strings.Builder
	text.Grow(size)
	msg := make([]string, len(a.elements))
	for i, e := range a.elements {
		from := text.Len()
		unescape(&text, data[e.start:e.end])
		msg[i] = text.String()[from:]
	}
	return msg
}

// scanString checks a string from data[pos] inside it on, and returns the index of its closing
// quote. It sets escaped when it meets an escape.
func scanString(data []byte, pos, element int, escaped *bool) (end int, err error) {
	for pos < len(data) {
		switch c := data[pos]; {
		case c == '"':
			return pos, nil
		case c == '\\':
			*escaped = true
			pos, err = scanEscape(data, pos, element)
		case c < ' ':
			err = syntaxError(pos, "control character 0x%02x inside element %d: write it as %s", c, element, appendEscape(nil, c))
		default:
			pos, err = scanRunes(data, pos, element)
		}
		if err != nil {
			return pos, err
		}
		pos = plainEnd(data, pos)
	}
	return pos, unclosed(data, element)
}

// scanRunes passes over the characters beyond ASCII that begin at data[pos].
func scanRunes(data []byte, pos, element int) (int, error) {
	for pos < len(data) && data[pos] >= utf8.RuneSelf {
		r, size := utf8.DecodeRune(data[pos:])
		if r == utf8.RuneError && size == 1 {
			return pos, syntaxError(pos, "byte 0x%02x inside element %d is not valid UTF-8: send bytes as a MessagePack array",
				data[pos], element)
		}
		pos += size
	}
	return pos, nil
}
