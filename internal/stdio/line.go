package stdio

import (
	"bufio"
	"bytes"
	"fmt"
	"io"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/wire"
)

// maxLine bounds a line of the program: what NATS can be set to take at most. What the broker at hand does not take is
// refused when it is sent, and the program lives on.
const maxLine = 64 << 20

// line is one line that the program wrote.
type line struct {
	text []byte
	more bool  // something stands behind it already
	err  error // instead of text
}

// readLines gives each line to take until the end of r, a line that is too long, or take's refusal. A last line without
// a line feed counts.
func readLines(r io.Reader, limit int, take func(line) bool) {
	reader := bufio.NewReaderSize(r, 64<<10)
	for {
		text, err := readLine(reader, limit)
		if err == io.EOF && len(text) == 0 {
			return
		}
		if err != nil && err != io.EOF {
			take(line{err: err})
			return
		}
		if !take(line{text: text, more: reader.Buffered() > 0}) || err == io.EOF {
			return
		}
	}
}

func readLine(r *bufio.Reader, limit int) ([]byte, error) {
	var text []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(text)+len(part) > limit {
			return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLong, limit)
		}
		text = append(text, part...)
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil && err != io.EOF {
			err = io.EOF // a pipe that broke has ended
		}
		return bytes.TrimSuffix(bytes.TrimSuffix(text, []byte{'\n'}), []byte{'\r'}), err
	}
}

// answer makes a message of a line: nothing of an empty one, the message that it holds, or else a RESPONSE with the line
// as its one argument.
func answer(text []byte) damrey.Msg {
	if len(text) == 0 {
		return nil
	}
	if wire.IsText(text) {
		if msg, err := wire.Decode(text); err == nil && len(msg) > 0 && isTag(msg[0]) {
			return msg
		}
	}
	return damrey.Reply(string(text))
}

func isTag(s string) bool {
	switch s {
	case damrey.REQUEST, damrey.RESPONSE, damrey.ERROR, damrey.STOP, damrey.TIMEOUT:
		return true
	}
	return false
}

// question makes a line of a message.
func question(msg damrey.Msg) ([]byte, error) {
	text := wire.Append(nil, msg)
	if !wire.IsText(text) {
		return nil, fmt.Errorf("%w: an argument holds bytes that are no UTF-8", ErrNotText)
	}
	return append(text, '\n'), nil
}
