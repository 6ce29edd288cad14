package broker

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/minio/highwayhash"
)

// How nats-server lays out a block of messages: records one after another, each
//
//	length 4 (its highest bit: there are headers) · sequence 8 · time 8 · length of the subject 2 · subject · [length of the
//	headers 4 · headers] · payload · hash 8
//
// in little endian, hashed with HighwayHash but for the lengths, under a key made of the stream's name and the block's number.
const (
	recordHead     = 22
	recordHash     = highwayhash.Size64
	recordHeaders  = 1 << 31
	maxRecord      = 32 << 20
	headersLength  = 4
	sequenceOffset = 4
	subjectOffset  = 20
)

// compressed is how a block begins that is.
var compressed = []byte("cmp")

// soundLength is how many bytes of a block hold sound records, from its beginning.
func soundLength(stream string, number int, block []byte) (sound int, err error) {
	key := sha256.Sum256(fmt.Appendf(nil, "%s-%d", stream, number))
	hash, err := highwayhash.New64(key[:])
	if err != nil {
		return 0, err
	}
	for sound < len(block) {
		rest := block[sound:]
		if len(rest) < recordHead {
			return sound, nil
		}
		length := binary.LittleEndian.Uint32(rest)
		headers := length&recordHeaders != 0
		size := int(length &^ recordHeaders)
		subject := int(binary.LittleEndian.Uint16(rest[subjectOffset:]))
		payload := subject
		if headers {
			payload += headersLength
		}
		if size > maxRecord || size > len(rest) || recordHead+payload+recordHash > size {
			return sound, nil
		}
		body := rest[recordHead:size]
		hash.Reset()
		hash.Write(rest[sequenceOffset:subjectOffset])
		hash.Write(body[:subject])
		hash.Write(body[payload : len(body)-recordHash])
		if !bytes.Equal(hash.Sum(nil), body[len(body)-recordHash:]) {
			return sound, nil
		}
		sound += size
	}
	return sound, nil
}
