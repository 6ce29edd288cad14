package wire

import "math/bits"

// Bytes repeated over a word, for looking at eight bytes at once.
const (
	everyByte = 0x0101010101010101
	highBits  = 0x80 * everyByte
)

// isPlain is plainEnd(s, 0) == len(s), quicker for the short strings that most elements are. Where
// two loads overlap they only look twice.
func isPlain(s string) bool {
	if len(s) < 4 {
		return plainEndShort(s, 0) == len(s)
	}
	if len(s) < 8 {
		a, b := s[:4], s[len(s)-4:]
		return notPlain(uint64(a[0])|uint64(a[1])<<8|uint64(a[2])<<16|uint64(a[3])<<24|
			uint64(b[0])<<32|uint64(b[1])<<40|uint64(b[2])<<48|uint64(b[3])<<56) == 0
	}
	for i := 0; i < len(s)-8; i += 8 {
		if notPlain(word(s, i)) != 0 {
			return false
		}
	}
	return notPlain(word(s, len(s)-8)) == 0
}

// plainEnd returns the index of the first byte of s, from i on, that is not plain, or len(s).
// Plain bytes stand for themselves in a JSON string: ASCII without control characters, the
// quote and the backslash.
func plainEnd[T string | []byte](s T, i int) int {
	for ; i+8 <= len(s); i += 8 {
		if marks := notPlain(word(s, i)); marks != 0 {
			return i + bits.TrailingZeros64(marks)/8
		}
	}
	if len(s) < 8 {
		return plainEndShort(s, i)
	}
	// The last word, with what was seen already shifted out: the zeros that move in are not
	// plain either, and the first of them stands for len(s).
	left := len(s) - i
	marks := notPlain(word(s, len(s)-8) >> (64 - 8*left))
	return i + bits.TrailingZeros64(marks)/8
}

func plainEndShort[T string | []byte](s T, i int) int {
	for ; i < len(s); i++ {
		if c := s[i]; c-0x20 >= 0x60 || c == '"' || c == '\\' {
			break
		}
	}
	return i
}

// word returns the eight bytes of s from i on, the first one lowest. The compiler makes one
// load of it.
func word[T string | []byte](s T, i int) uint64 {
	b := s[i : i+8]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

// notPlain sets the high bit of the lowest byte of word that is not plain; bits above that one
// mean nothing, because the subtractions borrow from the bytes above. The tests for a byte
// less than n and equal to n are those of Sean Anderson's "Bit Twiddling Hacks",
// https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord.
func notPlain(word uint64) uint64 {
	quote := word ^ '"'*everyByte
	slash := word ^ '\\'*everyByte
	control := (word - 0x20*everyByte) &^ word
	quote = (quote - everyByte) &^ quote
	slash = (slash - everyByte) &^ slash
	return (control | quote | slash | word) & highBits
}
