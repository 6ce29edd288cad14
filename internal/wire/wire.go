package wire

// Append appends one message to dst as one array: JSON if every element is valid UTF-8, else
// MessagePack. A payload of several messages is made by appending them one by one; nothing
// need stand between them, though a line feed is kind to people who look. It allocates only
// when dst lacks room.
func Append(dst []byte, msg []string) []byte {
	if text, ok := appendJSON(dst, msg); ok {
		return text
	}
	return appendPack(dst, msg)
}

// IsText reports whether payload begins with a JSON array, by its first byte behind white
// space. It says nothing of what follows.
func IsText(payload []byte) bool {
	pos := skipSpace(payload, 0)
	return pos < len(payload) && payload[pos] == '['
}

// Next decodes the first message of data and returns what follows it, without the white space
// between; rest is empty when there is no further message. Data without any message is an
// error. The elements share one allocation, so keeping one element keeps all of the message.
func Next(data []byte) (msg []string, rest []byte, err error) {
	msg, pos, err := read(data, 0)
	if err != nil {
		return nil, data, err
	}
	return msg, data[pos:], nil
}

// Decode decodes a payload that must hold exactly one message. See Next.
func Decode(data []byte) ([]string, error) {
	msg, pos, err := read(data, 0)
	if err != nil {
		return nil, err
	}
	if pos == len(data) {
		return msg, nil
	}
	if data[pos] == '[' || isPack(data[pos]) {
		return nil, syntaxError(pos, "a second message follows where only one may stand")
	}
	return nil, syntaxError(pos, "expected the end of the payload after the message, found %s", found(data, pos))
}

// Each calls f for every message of data in order, and stops at the first error, which is f's
// own as it is or a *SyntaxError whose offset counts from the start of data; the messages
// before it have been given to f by then. More than limit messages are an error too; limit 0
// or less means any number. Data without any message is an error.
func Each(data []byte, limit int, f func(msg []string) error) error {
	for pos, n := 0, 0; n == 0 || pos < len(data); n++ {
		if limit > 0 && n == limit {
			return syntaxError(pos, "more than %d messages in one payload", limit)
		}
		msg, next, err := read(data, pos)
		if err != nil {
			return err
		}
		if err := f(msg); err != nil {
			return err
		}
		pos = next
	}
	return nil
}

// read reads the message that data holds from pos on, and returns it with the index of what
// follows the white space behind it.
func read(data []byte, pos int) (msg []string, next int, err error) {
	pos = skipSpace(data, pos)
	switch {
	case pos >= len(data):
		return nil, pos, syntaxError(pos, `empty payload: expected a message such as ["REQUEST","add","1","2"]`)
	case data[pos] == '[':
		msg, next, err = readJSON(data, pos)
	case isPack(data[pos]):
		msg, next, err = readPack(data, pos)
	default:
		return nil, pos, syntaxError(pos, `expected a message such as ["REQUEST","add","1","2"], found %s`, found(data, pos))
	}
	if err != nil {
		return nil, pos, err
	}
	return msg, skipSpace(data, next), nil
}

// skipSpace returns the index of the first byte of data, from pos on, that is not white space
// of JSON, or len(data).
func skipSpace(data []byte, pos int) int {
	for pos < len(data) && data[pos] <= ' ' && isSpace(data[pos]) {
		pos++
	}
	return pos
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }
