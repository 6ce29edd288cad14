// Package wire is the payload codec: messages, which are lists of strings, to and from bytes.
//
// A message whose elements are all valid UTF-8 is one JSON array of strings, so that any
// language writes it and any NATS client shows it:
//
//	["REQUEST","add","1","2"]
//
// Any other message is one MessagePack array, whose elements are str where they are valid UTF-8
// and bin where they are not, so arbitrary bytes survive. The first byte tells which of the two
// it is. A payload holds one message or several, one behind the other, in either form, with
// white space (space, tab, line feed, carriage return) allowed before, between and after them.
//
// What is written equals encoding/json byte for byte, with HTML escaping off. What is read
// equals encoding/json on every valid input and is stricter in one place: bytes that are not
// UTF-8 inside JSON are an error and never silently replaced.
//
// Every function is safe for concurrent use, never panics on any input, takes time linear in
// its input and never keeps the slices it is given.
package wire
