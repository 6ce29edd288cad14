// Package syntax says where a document is broken.
package syntax

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// JSON puts a syntax error of encoding/json into words that name line and column. False: err is another one.
func JSON(data []byte, err error) (words string, ok bool) {
	syntax, ok := errors.AsType[*json.SyntaxError](err)
	if !ok {
		return "", false
	}
	line, column := position(data, syntax.Offset)
	return fmt.Sprintf("broken JSON at line %d, column %d: %s", line, column, syntax), true
}

// Words says what is wrong with a document that encoding/json refuses, where, and what belongs there.
func Words(data []byte, err error) string {
	if words, ok := JSON(data, err); ok {
		return words
	}
	wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return strings.TrimPrefix(err.Error(), "json: ")
	}
	path, value := valueAt(data, wrong.Offset)
	if path != "" {
		path += ": "
	}
	return path + belongs(wrong) + " is needed, not " + value
}

// belongs is what a reader would call the type.
func belongs(wrong *json.UnmarshalTypeError) string {
	switch wrong.Type.Kind() {
	case reflect.Float32, reflect.Float64:
		if strings.HasPrefix(wrong.Value, "number") {
			return "a smaller number"
		}
		return "a number"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a text"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "an object"
	}
	return "a whole number"
}

// valueAt finds the value after which encoding/json stopped: its path, such as rules[0].limits.share, and what it is.
func valueAt(data []byte, offset int64) (path, value string) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // what is too large for a number is read nevertheless
	var within []*level
	for {
		before := decoder.InputOffset()
		token, err := decoder.Token()
		if err != nil || decoder.InputOffset() > offset {
			return path, value
		}
		if token == json.Delim('}') || token == json.Delim(']') {
			within = within[:len(within)-1]
			continue
		}
		if len(within) > 0 && within[len(within)-1].next(token) {
			continue // a key
		}
		path = ""
		for _, l := range within {
			path += l.String()
		}
		path = strings.TrimPrefix(path, ".")
		switch token {
		case json.Delim('{'):
			value = "an object"
			within = append(within, &level{object: true})
		case json.Delim('['):
			value = "a list"
			within = append(within, &level{at: -1})
		default:
			value = clip(string(bytes.TrimLeft(data[before:decoder.InputOffset()], " \t\r\n:,")))
		}
	}
}

// level is an object or a list on the way to a value.
type level struct {
	object bool
	key    string
	keyed  bool // the key was read, its value comes
	at     int  // in a list
}

// next takes a token; true: it is a key.
func (l *level) next(token json.Token) bool {
	if !l.object {
		l.at++
		return false
	}
	if l.keyed = !l.keyed; l.keyed {
		l.key, _ = token.(string) // the decoder lets nothing else be a key
	}
	return l.keyed
}

func (l *level) String() string {
	if l.object {
		return "." + l.key
	}
	return fmt.Sprintf("[%d]", l.at)
}

// clip keeps what somebody sent readable.
func clip(s string) string {
	if len(s) <= 80 {
		return s
	}
	return strings.ToValidUTF8(s[:77], "") + "..."
}

// position turns the count of bytes read until an error into line and column, both from 1.
func position(data []byte, offset int64) (line, column int) {
	before := data[:max(0, min(int(offset)-1, len(data)))]
	line = 1 + bytes.Count(before, []byte{'\n'})
	column = 1 + len(before) - (bytes.LastIndexByte(before, '\n') + 1)
	return line, column
}
