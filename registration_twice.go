package damrey

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// CheckKeys says as a *[FieldError] which field of a registration, or of one of
// its commands, stands twice; encoding/json would take the last one and say
// nothing. What is no JSON is for [ParseRegistration] to name, which checks the
// keys too: call this when the document is changed before it is parsed.
func CheckKeys(document []byte) error {
	commands, err := keysOnce(document, "")
	if err != nil || commands == nil {
		return err
	}
	var rows []json.RawMessage
	if json.Unmarshal(commands, &rows) != nil {
		return nil
	}
	for i, row := range rows {
		if _, err := keysOnce(row, fmt.Sprintf("commands[%d].", i)); err != nil {
			return err
		}
	}
	return nil
}

// keysOnce reads the keys of one object, and gives the value of its commands.
func keysOnce(object []byte, under string) (commands json.RawMessage, err error) {
	decoder := json.NewDecoder(bytes.NewReader(object))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, nil
	}
	seen := make(map[string]bool)
	for decoder.More() {
		token, err := decoder.Token()
		key, isKey := token.(string)
		var value json.RawMessage
		if err != nil || !isKey || decoder.Decode(&value) != nil {
			return nil, nil
		}
		if seen[key] {
			return nil, &FieldError{Field: under + clip(key), Problem: "stands twice in one object; keep one"}
		}
		seen[key] = true
		if key == "commands" {
			commands = value
		}
	}
	return commands, nil
}
