package damrey

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/damrey/damrey/internal/syntax"
)

// FieldError says which field of a document is wrong and how. Field is a path
// such as commands[1].worker; empty when the document itself is not readable.
type FieldError struct {
	Field   string
	Problem string
}

func (e *FieldError) Error() string {
	if e.Field == "" {
		return e.Problem
	}
	return e.Field + ": " + e.Problem
}

// ParseRegistration reads a registration as people write it and refuses what
// this version does not know, with a *[FieldError]: line and column of broken
// JSON, unknown fields by name, fields that stand twice, and all that [Registration.Validate] finds,
// and an agent that no agent can be named.
func ParseRegistration(data []byte) (Registration, error) {
	reg, err := ParseNewer(data)
	if unknown := reg.CheckExtra(); unknown != nil {
		return Registration{}, unknown
	}
	return reg, err
}

// ParseNewer is [ParseRegistration] of what may come from a newer version:
// fields that this one does not know are kept in Extra. Whoever stores it has
// [Registration.CheckExtra] refuse those that nobody has stored before. With
// an error from Validate on, the registration is what was read.
func ParseNewer(data []byte) (Registration, error) {
	reg, err := decodeRegistration(data)
	if err != nil {
		return Registration{}, err
	}
	if err := CheckKeys(data); err != nil {
		return Registration{}, err
	}
	if err := reg.Validate(); err != nil {
		return reg, err
	}
	return reg, reg.refuseNoAgent()
}

// refuseNoAgent refuses to pin to what no agent can be named; rows from before are read as ever.
func (r Registration) refuseNoAgent() error {
	if r.Agent == "" {
		return nil
	}
	if err := CheckAgentName(r.Agent); err != nil {
		return &FieldError{Field: "agent", Problem: err.Error()}
	}
	return nil
}

// UnmarshalJSON reads a registration as the table holds it: fields of a newer
// version are kept in Extra. It does not validate.
func (r *Registration) UnmarshalJSON(data []byte) error {
	reg, err := decodeRegistration(data)
	if err == nil {
		*r = reg
	}
	return err
}

func decodeRegistration(data []byte) (Registration, error) {
	var r Registration
	var rows []json.RawMessage
	extra, err := decodeObject(data, "", "", map[string]any{
		"name": &r.Name, "agent": &r.Agent, "mpu": &r.MPU, "commands": &rows,
		"max_messages": &r.MaxMessages, "max_bytes": &r.MaxBytes, "paused": &r.Paused,
	})
	if err != nil {
		return Registration{}, err
	}
	r.Extra = extra
	r.Commands = make([]Command, len(rows))
	for i, row := range rows {
		c, at := &r.Commands[i], fmt.Sprintf("commands[%d]", i)
		c.Extra, err = decodeObject(row, at, at+".", map[string]any{
			"name": &c.Name, "worker": &c.Worker, "mpu": &c.MPU, "batch": &c.Batch,
			"delivery": &c.Delivery, "attempts": &c.Attempts, "backoff": &c.Backoff, "window": &c.Window,
			"key": &c.Key, "paused": &c.Paused,
		})
		if err != nil {
			return Registration{}, err
		}
	}
	return r, nil
}

// decodeObject decodes one JSON object into the known fields and returns the
// others. at is the object's own path, under the start of its fields' paths.
func decodeObject(data []byte, at, under string, known map[string]any) (map[string]json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, objectError(data, at, err)
	}
	if fields == nil {
		return nil, &FieldError{Field: at, Problem: "is null; an object is needed"}
	}
	for name, into := range known {
		raw, ok := fields[name]
		if !ok {
			continue
		}
		delete(fields, name)
		if err := json.Unmarshal(raw, into); err != nil {
			return nil, &FieldError{Field: under + name, Problem: valueProblem(raw, err)}
		}
	}
	if len(fields) == 0 {
		return nil, nil
	}
	return fields, nil
}

func objectError(data []byte, at string, err error) error {
	if words, ok := syntax.JSON(data, err); ok {
		return &FieldError{Field: at, Problem: words}
	}
	return &FieldError{Field: at, Problem: fmt.Sprintf("an object is needed, not %s", clip(string(bytes.TrimSpace(data))))}
}

// valueProblem puts encoding/json's Go types into a reader's words.
func valueProblem(raw json.RawMessage, err error) string {
	typeErr, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return err.Error()
	}
	want := "a string"
	switch typeErr.Type.Kind() {
	case reflect.Slice:
		want = "a list"
	case reflect.Bool:
		want = "true or false"
	}
	return fmt.Sprintf("%s is needed, not %s", want, clip(string(raw)))
}

// MarshalJSON writes the known fields in the original order, then Extra.
func (r Registration) MarshalJSON() ([]byte, error) {
	type plain Registration
	p := plain(r)
	if p.Commands == nil {
		p.Commands = []Command{}
	}
	return withExtra(p, r.Extra)
}

// MarshalJSON writes the known fields in the original order, then Extra.
func (c Command) MarshalJSON() ([]byte, error) {
	type plain Command
	return withExtra(plain(c), c.Extra)
}

func withExtra(known any, extra map[string]json.RawMessage) ([]byte, error) {
	b, err := json.Marshal(known)
	if err != nil || len(extra) == 0 {
		return b, err
	}
	rest, err := json.Marshal(extra)
	if err != nil {
		return nil, err
	}
	b[len(b)-1] = ','
	return append(b, rest[1:]...), nil
}

// MarshalJSON writes a string, as the original format has it.
func (n MPU) MarshalJSON() ([]byte, error) {
	return strconv.AppendQuote(nil, strconv.Itoa(int(n))), nil
}

// UnmarshalJSON reads a string or a number.
func (n *MPU) UnmarshalJSON(data []byte) error { return unmarshalCount(data, (*int)(n)) }

// UnmarshalJSON reads a number or a string.
func (n *Batch) UnmarshalJSON(data []byte) error { return unmarshalCount(data, (*int)(n)) }

// UnmarshalJSON reads a number or a string.
func (n *Attempts) UnmarshalJSON(data []byte) error { return unmarshalCount(data, (*int)(n)) }

// MarshalJSON writes the argument's index.
func (k Key) MarshalJSON() ([]byte, error) { return strconv.AppendInt(nil, int64(k)-1, 10), nil }

// UnmarshalJSON reads a number or a string.
func (k *Key) UnmarshalJSON(data []byte) error {
	var index int
	if err := unmarshalCount(data, &index); err != nil {
		return err
	}
	if index < 0 {
		return fmt.Errorf("%d is no argument's index; use 0 for the first one", index)
	}
	*k = KeyArg(index)
	return nil
}

// UnmarshalJSON reads a number or a string.
func (n *Count) UnmarshalJSON(data []byte) error {
	var wide int
	err := unmarshalCount(data, &wide)
	*n = Count(wide)
	return err
}

// MarshalJSON writes a string such as "1.5s".
func (d Duration) MarshalJSON() ([]byte, error) {
	return strconv.AppendQuote(nil, time.Duration(d).String()), nil
}

// UnmarshalJSON reads a string such as "1.5s".
func (d *Duration) UnmarshalJSON(data []byte) error {
	text, err := strconv.Unquote(string(data))
	if err == nil && data[0] == '"' {
		var parsed time.Duration
		if parsed, err = time.ParseDuration(text); err == nil {
			*d = Duration(parsed)
			return nil
		}
	}
	return fmt.Errorf("%s is no duration; write it as \"500ms\", \"2s\" or \"1m30s\"", clip(string(data)))
}

func unmarshalCount(data []byte, into *int) error {
	text := string(data)
	if unquoted, err := strconv.Unquote(text); err == nil && text[0] == '"' {
		text = unquoted
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("%s is not a whole number", clip(string(data)))
	}
	*into = n
	return nil
}
