package wire

import (
	"encoding/binary"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"
)

// First bytes of MessagePack values that this package must tell apart itself,
// https://github.com/msgpack/msgpack/blob/master/spec.md#formats.
const (
	packFixArray = 0x90 // to 0x9f
	packArray16  = 0xdc
	packArray32  = 0xdd
	packBin32    = 0xc6
	packStr32    = 0xdb
)

func isPack(first byte) bool {
	return first&0xf0 == packFixArray || first == packArray16 || first == packArray32
}

// appendPack appends msg as a MessagePack array.
func appendPack(dst []byte, msg []string) []byte {
	dst = msgp.AppendArrayHeader(dst, uint32(len(msg)))
	for _, s := range msg {
		if utf8.ValidString(s) {
			dst = msgp.AppendString(dst, s)
		} else {
			dst = append(msgp.AppendBytesHeader(dst, uint32(len(s))), s...)
		}
	}
	return dst
}

// readPack reads the array whose first byte is data[pos], and returns it with the index behind
// it. It looks at every element before it allocates, so a header alone cannot make it allocate.
func readPack(data []byte, pos int) ([]string, int, error) {
	count, body, err := msgp.ReadArrayHeaderBytes(data[pos:])
	if err != nil {
		return nil, pos, syntaxError(pos, "the payload ends inside the header of a MessagePack array")
	}
	rest, size := body, 0
	for i := range uint64(count) {
		element, after, err := packElement(rest)
		if err != nil {
			return nil, pos, notPacked(data, len(data)-len(rest), i+1, uint64(count))
		}
		size += len(element)
		rest = after
	}
	msg := make([]string, 0, count)
	var all strings.Builder
	all.Grow(size)
	for range count {
		element, after, _ := packElement(body) // checked above
		from := all.Len()
		all.Write(element)
		msg = append(msg, all.String()[from:])
		body = after
	}
	return msg, len(data) - len(rest), nil
}

// packElement returns the bytes of the str or bin that b begins with, and what follows. A str
// may hold any bytes: writers that know no bin put them there.
func packElement(b []byte) (element, rest []byte, err error) {
	if len(b) >= 5 && (b[0] == packStr32 || b[0] == packBin32) && binary.BigEndian.Uint32(b[1:]) > math.MaxInt32 {
		return nil, nil, msgp.ErrShortBytes // msgp's int would be negative where int has 32 bits
	}
	if msgp.NextType(b) == msgp.BinType {
		return msgp.ReadBytesZC(b)
	}
	return msgp.ReadStringZC(b)
}

// notPacked is the error for whatever stands at data[pos] where an element of a MessagePack
// array should.
func notPacked(data []byte, pos int, element, count uint64) error {
	if pos >= len(data) {
		return syntaxError(pos, "the payload ends before element %d of %d of a MessagePack array", element, count)
	}
	switch kind := msgp.NextType(data[pos:]); kind {
	case msgp.StrType, msgp.BinType:
		return syntaxError(pos, "the payload ends inside element %d of %d of a MessagePack array", element, count)
	default:
		return syntaxError(pos, "element %d of %d of a MessagePack array is of type %s, but only str and bin may stand there",
			element, count, kind)
	}
}
