package damrey

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CheckKeys says as a *[FieldError] which field of a registration, or of one of
// its commands, stands twice, where encoding/json would take the last one and
// say nothing, or is a limit of 0, which would be taken for none given. What is no JSON is for [ParseRegistration] to name, which checks the
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

// limits are the fields whose 0 would be taken for none given.
var limits = []string{"mpu", "max_messages", "max_bytes", "batch", "attempts", "backoff", "window"}

// isZero says that a value is a number or a duration of zero, or a string of one.
func isZero(value json.RawMessage) bool {
	text := strings.Trim(string(value), `"`)
	n, notNumber := strconv.Atoi(text)
	d, notDuration := time.ParseDuration(text)
	return notNumber == nil && n == 0 || notDuration == nil && d == 0
}

// least is what to write in place of 0.
func least(limit string) string {
	if limit == "backoff" || limit == "window" {
		return "a duration such as 1s"
	}
	return "1 or more"
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
		if slices.Contains(limits, key) && isZero(value) {
			return nil, &FieldError{Field: under + key, Problem: "0 is out of range; use " + least(key) + ", or leave it out for the default"}
		}
		if key == "commands" {
			commands = value
		}
	}
	return commands, nil
}
