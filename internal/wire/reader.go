package wire

// Reader reads the messages of one payload, one by one. What is plain JSON
// shares one copy of the payload and few allocations between all messages, so
// keeping one element of a payload of several keeps all of it.
type Reader struct {
	data []byte
	pos  int
	text string   // data as a string, made when there is more than one message
	room []string // where the elements of the next messages go
}

// roomFor is how many messages ahead room is made for.
const roomFor = 64

// NewReader reads data, which must not change until the last Next.
func NewReader(data []byte) Reader { return Reader{data: data} }

// Next decodes the next message. Data without any message is an error.
func (r *Reader) Next() ([]string, error) {
	start := skipSpace(r.data, r.pos)
	if start >= len(r.data) || r.data[start] != '[' {
		msg, next, err := read(r.data, start)
		r.pos = next
		return msg, err
	}
	var room [8]span
	array, err := scanArray(r.data, start, room[:0])
	if err != nil {
		return nil, err
	}
	r.pos = skipSpace(r.data, array.end)
	switch {
	case array.escaped:
		return array.unescaped(r.data), nil
	case start == 0 && !r.More():
		return array.plain(r.data), nil
	}
	return r.shared(array, array.end-start), nil
}

// More reports whether data goes on behind the last message.
func (r *Reader) More() bool { return r.pos < len(r.data) }

// shared returns the elements of a message without escapes, size bytes long,
// out of what the payload's messages share.
func (r *Reader) shared(a jsonArray, size int) []string {
	if r.text == "" {
		r.text = string(r.data)
	}
	n := len(a.elements)
	if len(r.room) < n {
		// As many as there would be if all were like this one.
		r.room = make([]string, n*min(roomFor, 1+(len(r.data)-r.pos)/size))
	}
	msg := r.room[:n:n]
	r.room = r.room[n:]
	for i, e := range a.elements {
		msg[i] = r.text[e.start:e.end]
	}
	return msg
}
