package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

// document is one registration as a file has it.
type document struct {
	damrey.Registration
	revision string // entity tag of the revision it was read at; empty: none
	file     string // that it is from; empty: from flags
	place    string // in that file
}

// newDocuments is readDocuments of entries that nobody has stored before, so that what is unknown is a mistake.
func (a *app) newDocuments(path string) ([]document, error) {
	documents, err := a.readDocuments(path)
	for _, d := range documents {
		if err := d.CheckExtra(); err != nil {
			return nil, fmt.Errorf("%s: %w", d.place, err)
		}
	}
	return documents, err
}

// checkExtra refuses documents with fields that neither this version knows nor the entry that they are to replace has, or
// had, before any of them is stored.
func checkExtra(ctx context.Context, client *api.Client, documents []document) error {
	for _, d := range documents {
		if d.CheckExtra() == nil {
			continue
		}
		history, err := client.History(ctx, d.Name)
		if refused, ok := errors.AsType[*api.Error](err); err != nil && (!ok || refused.Status != http.StatusNotFound) {
			return err
		}
		var before []damrey.Registration
		for _, r := range history.Revisions {
			if r.Registration != nil {
				before = append(before, *r.Registration)
			}
		}
		if err := d.CheckExtra(before...); err != nil {
			return fmt.Errorf("%s: %w", d.place, err)
		}
	}
	return nil
}

// readDocuments reads the registrations of a file, all or none: JSON or YAML, one after another, as a list, or as the
// output of `damrey worker list`. "-" is stdin. What this version does not know is kept.
func (a *app) readDocuments(path string) ([]document, error) {
	data, err := a.readFile(path)
	if err != nil {
		return nil, fmt.Errorf("-f: %w", err)
	}
	raws, err := splitDocuments(filepath.Ext(path), data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(raws) == 0 {
		return nil, fmt.Errorf("%s: there is no registration in it", path)
	}
	documents := make([]document, len(raws))
	for i, raw := range raws {
		place := path
		if len(raws) > 1 {
			place = fmt.Sprintf("%s: registration %d", path, i+1)
		}
		if documents[i], err = parseDocument(raw); err != nil {
			return nil, fmt.Errorf("%s: %w", place, err)
		}
		documents[i].file, documents[i].place = path, place
	}
	return documents, nil
}

// whose names the file and the worker in an error that says nothing of them.
func (d document) whose(err error) error {
	if refused, ok := errors.AsType[*api.Error](err); !ok || refused.Status != http.StatusRequestEntityTooLarge {
		return err
	}
	if d.file == "" {
		return fmt.Errorf("worker %q: %w", d.Name, err)
	}
	return fmt.Errorf("%s: worker %q: %w", d.file, d.Name, err)
}

func (a *app) readFile(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(a.stdin)
	}
	return os.ReadFile(path)
}

// parseDocument takes the read-only fields off, which a document has that the proxy once gave out.
func parseDocument(raw []byte) (document, error) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil { // it is no object: let the parser say so
		fields = nil
	}
	var d document
	if err := damrey.CheckKeys(raw); err != nil { // before what stands twice is lost in what is marshaled anew
		return d, err
	}
	if given, ok := fields[api.FieldRevision]; ok {
		var revision uint64
		if err := json.Unmarshal(given, &revision); err != nil {
			return d, fmt.Errorf("%s: a whole number is needed, not %s", api.FieldRevision, given)
		}
		d.revision = api.Match(revision)
	}
	_, updated := fields[api.FieldUpdated]
	if d.revision != "" || updated {
		delete(fields, api.FieldRevision)
		delete(fields, api.FieldUpdated)
		var err error
		if raw, err = json.Marshal(fields); err != nil {
			return d, err
		}
	}
	var err error
	d.Registration, err = damrey.ParseNewer(raw)
	if unknown := d.CheckExtra(); err != nil && unknown != nil { // one may be the misspelling of what the other misses
		err = fmt.Errorf("%w; %w", err, unknown)
	}
	return d, err
}

// splitDocuments gives the JSON of each registration.
func splitDocuments(extension string, data []byte) ([]json.RawMessage, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // editors of Windows put it there
	isJSON := extension == ".json"
	if extension != ".json" && extension != ".yaml" && extension != ".yml" {
		trimmed := bytes.TrimLeft(data, " \t\r\n")
		isJSON = len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[')
	}
	split := splitYAML
	if isJSON {
		split = splitJSON
	}
	if isUTF16(data, isJSON) {
		return nil, errors.New("this is UTF-16; save it as UTF-8")
	}
	raws, err := split(data)
	if err != nil {
		return nil, err
	}
	var flat []json.RawMessage
	for _, raw := range raws {
		flat = append(flat, flatten(raw)...)
	}
	return flat, nil
}

// isUTF16 goes by the mark at the beginning, which YAML understands, and without one by the first character, which is ASCII
// in all that could be meant.
func isUTF16(data []byte, isJSON bool) bool {
	if bytes.HasPrefix(data, []byte{0xff, 0xfe}) || bytes.HasPrefix(data, []byte{0xfe, 0xff}) {
		return isJSON
	}
	return len(data) >= 2 && (data[0] == 0) != (data[1] == 0)
}

// flatten opens lists and the output of `damrey worker list`.
func flatten(raw json.RawMessage) []json.RawMessage {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil && list != nil {
		return list
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) == nil && fields["name"] == nil && json.Unmarshal(fields["workers"], &list) == nil {
		return list
	}
	return []json.RawMessage{raw}
}

func splitJSON(data []byte) ([]json.RawMessage, error) {
	var raws []json.RawMessage
	for decoder := json.NewDecoder(bytes.NewReader(data)); ; {
		var raw json.RawMessage
		err := decoder.Decode(&raw)
		if err == io.EOF {
			return raws, nil
		}
		if err != nil {
			before := data[:min(failedAt(decoder, err, data), len(data))]
			line, column := 1+bytes.Count(before, []byte{'\n'}), len(before)-bytes.LastIndexByte(before, '\n')
			return nil, fmt.Errorf("broken JSON at line %d, column %d: %w", line, column, err)
		}
		raws = append(raws, raw)
	}
}

// failedAt is the count of bytes before the error.
func failedAt(decoder *json.Decoder, err error, data []byte) int {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return max(0, int(syntax.Offset)-1)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return len(bytes.TrimRight(data, " \t\r\n"))
	}
	return int(decoder.InputOffset())
}

func splitYAML(data []byte) ([]json.RawMessage, error) {
	var raws []json.RawMessage
	for decoder := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var value any
		err := decoder.Decode(&value)
		if err == io.EOF {
			return raws, nil
		}
		if err != nil {
			return nil, fmt.Errorf("broken YAML: %w", err)
		}
		if value == nil { // nothing between two separators
			continue
		}
		raw, err := json.Marshal(value)
		if number, ok := errors.AsType[*json.UnsupportedValueError](err); ok {
			return nil, fmt.Errorf("%s is no number that can be stored; use one that is finite", number.Str)
		}
		if err != nil {
			return nil, fmt.Errorf("this YAML has no form in JSON: %w; keys must be text", err)
		}
		raws = append(raws, raw)
	}
}
