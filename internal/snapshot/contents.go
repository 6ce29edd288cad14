package snapshot

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// contents is what a snapshot holds.
type contents struct {
	// old: by a nats-server before 2.15, whose snapshots are the files of its store. Nothing more is known then.
	old      bool
	messages uint64
	stored   map[moment]uint64 // how many messages, by when
}

// moment is when a message was stored, in seconds, and how long it is kept: 0 as its stream says, below 0 for ever.
type moment struct{ at, ttl int64 }

// alive counts the messages that have not expired, in a stream that keeps them so long; 0: for ever.
func (c contents) alive(at time.Time, maxAge time.Duration) (n uint64) {
	for m, count := range c.stored {
		switch {
		case m.ttl > 0 && m.at+m.ttl <= at.Unix():
		case m.ttl >= 0 && maxAge > 0 && m.at+int64(maxAge/time.Second) <= at.Unix():
		default:
			n += count
		}
	}
	return n
}

var errUnreadable = errors.New("the snapshot cannot be read")

// read goes through a snapshot, of which next gives one chunk after another and io.EOF at the end. All chunks are taken,
// whatever they hold.
func read(next func() ([]byte, error)) (contents, error) {
	r := &chunkReader{next: next}
	c, err := readContents(r)
	if err != nil {
		err = fmt.Errorf("%w: %w", errUnreadable, err)
	}
	if _, failed := io.Copy(io.Discard, r); failed != nil {
		return c, failed
	}
	return c, err
}

type chunkReader struct {
	next func() ([]byte, error)
	left []byte
	err  error
}

func (r *chunkReader) Read(p []byte) (n int, err error) {
	for len(r.left) == 0 && r.err == nil {
		r.left, r.err = r.next()
	}
	if len(r.left) == 0 {
		return 0, r.err
	}
	n = copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// magic begins what a nats-server of 2.15 or newer writes: entries, see ADR-62, behind one another in one S2 stream.
const magic = "NATSARC1"

func readContents(r io.Reader) (c contents, err error) {
	c.stored = make(map[moment]uint64)
	in := bufio.NewReader(s2.NewReader(r))
	if start, err := in.Peek(len(magic)); err != nil || string(start) != magic {
		c.old = err == nil
		return c, err
	}
	_, _ = in.Discard(len(magic)) // they were peeked at
	for {
		e, err := readEntry(in)
		switch {
		case errors.Is(err, io.EOF):
			return c, io.ErrUnexpectedEOF // its end is an entry too
		case err != nil:
			return c, err
		case e.sequence == 0 && e.name == "":
			return c, nil
		case e.sequence == 0: // the stream's state, or a consumer
			continue
		}
		ttl, err := e.ttl()
		if err != nil {
			return c, fmt.Errorf("message %d: %w", e.sequence, err)
		}
		c.messages++
		c.stored[moment{time.Unix(0, e.time).Unix(), ttl}]++
	}
}

// archived is one thing of a snapshot: a message, if it has a sequence.
type archived struct {
	name     string // a message's subject
	time     int64  // Unix nanoseconds
	sequence uint64
	header   []byte
}

func readEntry(in *bufio.Reader) (e archived, err error) {
	numbers := make([]uint64, 5) // length of the name, time, sequence, length of the header, length of what follows it
	for i := range numbers {
		if numbers[i], err = binary.ReadUvarint(in); err != nil {
			return e, err
		}
	}
	e.time = int64(numbers[1]>>1) ^ -int64(numbers[1]&1) // it may be below 0
	e.sequence = numbers[2]
	for _, n := range []uint64{numbers[0], numbers[3], numbers[4]} {
		if n > maxEntry {
			return e, fmt.Errorf("something of %d bytes", n)
		}
	}
	name := make([]byte, numbers[0])
	if _, err = io.ReadFull(in, name); err != nil {
		return e, err
	}
	e.name, e.header = string(name), make([]byte, numbers[3])
	if _, err = io.ReadFull(in, e.header); err == nil {
		_, err = in.Discard(int(numbers[4]))
	}
	return e, err
}

// ttl is in whole seconds, as the server takes it; 0 when there is none, and -1 for ever.
func (e archived) ttl() (int64, error) {
	if !bytes.Contains(e.header, []byte(jetstream.MsgTTLHeader)) {
		return 0, nil
	}
	header, err := nats.DecodeHeadersMsg(e.header)
	if err != nil {
		return 0, err
	}
	text := header.Get(jetstream.MsgTTLHeader)
	if text == "" {
		return 0, nil
	}
	if strings.EqualFold(text, "never") {
		return -1, nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		return int64(d / time.Second), nil
	}
	return strconv.ParseInt(text, 10, 64)
}
