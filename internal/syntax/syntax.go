// Package syntax says where a document is broken.
package syntax

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
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

// position turns the count of bytes read until an error into line and column, both from 1.
func position(data []byte, offset int64) (line, column int) {
	before := data[:max(0, min(int(offset)-1, len(data)))]
	line = 1 + bytes.Count(before, []byte{'\n'})
	column = 1 + len(before) - (bytes.LastIndexByte(before, '\n') + 1)
	return line, column
}
