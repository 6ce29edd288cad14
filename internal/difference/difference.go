// Package difference says in words what makes two entries of the routing table differ.
package difference

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/damrey/damrey"
)

// Between lists what changed from one entry to the other, the worker's own fields first and then its routes; nil stands for
// no entry.
func Between(before, after *damrey.Registration) ([]string, error) {
	switch {
	case before == nil && after == nil:
		return nil, nil
	case before == nil:
		before = &damrey.Registration{Name: after.Name}
		words, err := Between(before, after)
		return slices.Insert(words, 0, "added"), err
	case after == nil:
		return []string{"deleted"}, nil
	}
	from, err := fieldsOf(before)
	if err != nil {
		return nil, err
	}
	to, err := fieldsOf(after)
	if err != nil {
		return nil, err
	}
	delete(from, "commands")
	delete(to, "commands")
	routes, err := routes(before.Commands, after.Commands)
	return append(fields("", from, to), routes...), err
}

// routes go by their types, since a type stands once.
func routes(before, after []damrey.Command) (words []string, err error) {
	for _, c := range after {
		was := slices.IndexFunc(before, func(b damrey.Command) bool { return b.Name == c.Name })
		if was < 0 {
			words = append(words, fmt.Sprintf("route %s → %s added", c.Name, c.Worker))
			before = append(slices.Clip(before), damrey.Command{Name: c.Name, Worker: c.Worker})
			was = len(before) - 1
		}
		from, err := fieldsOf(before[was])
		if err != nil {
			return nil, err
		}
		to, err := fieldsOf(c)
		if err != nil {
			return nil, err
		}
		words = append(words, fields("route "+c.Name+": ", from, to)...)
	}
	for _, b := range before {
		if !slices.ContainsFunc(after, func(c damrey.Command) bool { return c.Name == b.Name }) {
			words = append(words, fmt.Sprintf("route %s → %s removed", b.Name, b.Worker))
		}
	}
	return words, nil
}

// fields goes by JSON, so that also those differ that this version does not know.
func fields(under string, before, after map[string]json.RawMessage) (words []string) {
	all := maps.Clone(before)
	maps.Copy(all, after)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !bytes.Equal(before[name], after[name]) {
			words = append(words, fmt.Sprintf("%s%s %s → %s", under, name, value(before[name]), value(after[name])))
		}
	}
	return words
}

func fieldsOf(v any) (fields map[string]json.RawMessage, err error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return fields, json.Unmarshal(data, &fields)
}

// value of a field; what is left out is as it comes.
func value(raw json.RawMessage) string {
	var text string
	switch {
	case raw == nil:
		return "default"
	case json.Unmarshal(raw, &text) != nil:
		return string(raw)
	case text == "":
		return "none"
	case strconv.Quote(text) == `"`+text+`"`:
		return text
	}
	return strconv.Quote(text)
}
