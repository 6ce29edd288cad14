package damrey

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

const (
	registrationFields = "mpu, name, agent, max_messages, max_bytes, paused, commands"
	commandFields      = "name, worker, mpu, batch, delivery, attempts, backoff, window, key, paused"
)

// CheckExtra refuses as a *[FieldError] a field that this version does not know
// and that none of stored, which are entries of the same worker, has with the
// same value; of a command it must be one of the same type. So a row that a
// newer version wrote can be changed by this one, and a misspelled field is
// found.
func (r Registration) CheckExtra(stored ...Registration) error {
	before := make([]map[string]json.RawMessage, 0, len(stored))
	for _, s := range stored {
		before = append(before, s.Extra)
	}
	if err := checkExtra(r.Extra, before, "", registrationFields); err != nil {
		return err
	}
	for i, c := range r.Commands {
		if len(c.Extra) == 0 {
			continue
		}
		before = before[:0]
		for _, s := range stored {
			for _, was := range s.Commands {
				if was.Name == c.Name {
					before = append(before, was.Extra)
				}
			}
		}
		if err := checkExtra(c.Extra, before, fmt.Sprintf("commands[%d].", i), commandFields); err != nil {
			return err
		}
	}
	return nil
}

func checkExtra(extra map[string]json.RawMessage, before []map[string]json.RawMessage, under, known string) error {
	for _, field := range slices.Sorted(maps.Keys(extra)) {
		stands, differs := false, false
		for _, fields := range before {
			was, there := fields[field]
			same := there && sameJSON(was, extra[field])
			stands, differs = stands || same, differs || there && !same
		}
		switch {
		case stands:
		case differs:
			return &FieldError{Field: under + field, Problem: "this version does not know the field and cannot change it; leave it as it was, or change it with the newer version"}
		default:
			return &FieldError{Field: under + field, Problem: "unknown field; known are " + known}
		}
	}
	return nil
}

// sameJSON compares values: another order of keys, or white space, is no change.
func sameJSON(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}
