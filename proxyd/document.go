package proxyd

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

// readDocument reads a registration from a request's body and refuses fields that nobody knows. Those of a newer version
// that stand in the entry, or stood there, may stay as they are.
func (p *Proxy) readDocument(ctx context.Context, body []byte, name string) (damrey.Registration, error) {
	reg, wrong := parseDocument(body, name)
	if reg.CheckExtra() == nil {
		return reg, wrong
	}
	var before []damrey.Registration
	if damrey.CheckWorkerName(reg.Name) == nil {
		records, err := p.table.history(ctx, reg.Name)
		if err != nil {
			return reg, err
		}
		for _, r := range records {
			if e := newEntry(r.key, r.value, r.revision, r.created); !r.deleted && e.damage == nil {
				before = append(before, e.reg)
			}
		}
	}
	if err := reg.CheckExtra(before...); err != nil {
		return reg, wrongDocument(body, err)
	}
	return reg, wrong
}

// parseDocument leaves out what GET added. With a name, which is the path's, the document may leave its own out but not
// say another.
func parseDocument(body []byte, name string) (damrey.Registration, error) {
	var reg damrey.Registration
	if err := reg.UnmarshalJSON(body); err != nil {
		return reg, wrongDocument(body, err)
	}
	if err := damrey.CheckKeys(body); err != nil { // before what stands twice is lost in what is marshaled anew
		return damrey.Registration{}, wrongDocument(body, err)
	}
	changed := false
	for _, field := range []string{api.FieldRevision, api.FieldUpdated} {
		if _, there := reg.Extra[field]; there {
			delete(reg.Extra, field)
			changed = true
		}
	}
	if name != "" && reg.Name == "" {
		reg.Name, changed = name, true
	}
	document := body
	if changed {
		var err error
		if document, err = json.Marshal(reg); err != nil {
			return reg, err
		}
	}
	reg, err := damrey.ParseNewer(document)
	if err != nil {
		return reg, wrongDocument(body, err)
	}
	if name != "" && reg.Name != name {
		return reg, at(problem(http.StatusUnprocessableEntity, "the path names worker %q and the body %q; make them the same, or leave the body's out",
			name, reg.Name), "body.name", "is not the path's", reg.Name)
	}
	return reg, nil
}

// parseName reads the only field that a deletion needs. With an error there may be a name, which is no worker's.
func parseName(body []byte) (string, error) {
	var reg damrey.Registration
	if err := reg.UnmarshalJSON(body); err != nil {
		return "", wrongDocument(body, err)
	}
	if err := damrey.CheckWorkerName(reg.Name); err != nil {
		return reg.Name, wrongDocument(body, &damrey.FieldError{Field: "name", Problem: err.Error()})
	}
	return reg.Name, nil
}

// wrongDocument is 400 for what is not JSON, 422 for the rest.
func wrongDocument(body []byte, err error) error {
	if !json.Valid(body) {
		return wrongField(http.StatusBadRequest, "body", err, nil)
	}
	var value any
	if field, ok := errors.AsType[*damrey.FieldError](err); ok {
		value = valueAt(body, field.Field)
	}
	return wrongField(http.StatusUnprocessableEntity, "body", err, value)
}

// valueAt is the string, number or boolean at a path such as commands[1].worker; nil when there is something else.
func valueAt(body []byte, path string) any {
	var at any
	if json.Unmarshal(body, &at) != nil {
		return nil
	}
	for step := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		switch v := at.(type) {
		case map[string]any:
			at = v[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(v) {
				return nil
			}
			at = v[i]
		default:
			return nil
		}
	}
	switch v := at.(type) {
	case string:
		return shorten(v)
	case float64, bool:
		return v
	}
	return nil
}
