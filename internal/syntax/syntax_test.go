package syntax_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/damrey/damrey/internal/syntax"
)

func TestJSON_NamesLineAndColumn(t *testing.T) {
	t.Parallel()
	for doc, want := range map[string]string{
		"x":                   "broken JSON at line 1, column 1: invalid character 'x' looking for beginning of value",
		"{\n  \"a\": NaN}":    "broken JSON at line 2, column 8: invalid character 'N' looking for beginning of value",
		"{\"a\": 1,\n\n\n}":   "broken JSON at line 4, column 1: invalid character '}' looking for beginning of object key string",
		"{\"ä\": \"ö\", oops": "broken JSON at line 1, column 14: invalid character 'o' looking for beginning of object key string",
	} {
		var v any
		if got, ok := syntax.JSON([]byte(doc), json.Unmarshal([]byte(doc), &v)); !ok || got != want {
			t.Errorf("%q: %q", doc, got)
		}
	}
	if words, ok := syntax.JSON(nil, errors.New("another")); ok || words != "" {
		t.Error(words)
	}
}

func TestWords_NameThePlaceAndWhatBelongsThere(t *testing.T) {
	t.Parallel()
	type rule struct {
		Name   string             `json:"name"`
		On     bool               `json:"on"`
		Limits map[string]float64 `json:"limits"`
		N      int                `json:"n"`
	}
	for doc, want := range map[string]string{
		`{"rules":[{"limits":{"a":1}},{"limits":{"a":1,"share":"x"}}]}`: `rules[1].limits.share: a number is needed, not "x"`,
		`{"rules":[{"limits":{"a":[[1]],"b":1}}]}`:                      `rules[0].limits.a: a number is needed, not a list`,
		`{"rules":{}}`:                       `rules: a list is needed, not an object`,
		"{\"rules\": [\n {\"name\" : 7 }]}":  `rules[0].name: a text is needed, not 7`,
		`{"rules":[{"on":"yes"}]}`:           `rules[0].on: true or false is needed, not "yes"`,
		`{"rules":[{"n":1.5}]}`:              `rules[0].n: a whole number is needed, not 1.5`,
		`{"rules":[7]}`:                      `rules[0]: an object is needed, not 7`,
		`[]`:                                 `an object is needed, not a list`,
		`7`:                                  `an object is needed, not 7`,
		`{"rules":[{"limits":{"a":1e400}}]}`: `rules[0].limits.a: a smaller number is needed, not 1e400`,
		`{"rules"`:                           `broken JSON at line 1, column 8: unexpected end of JSON input`,
	} {
		var v struct {
			Rules []rule `json:"rules"`
		}
		if got := syntax.Words([]byte(doc), json.Unmarshal([]byte(doc), &v)); got != want {
			t.Errorf("%s: %s, not %s", doc, got, want)
		}
	}
	for _, doc := range []string{`{"a":[0,{"b":1e400,"c":1}]}`, `{"a":[0,{"b":1e400}]}`, `{"a":[0,{"b": 1e400 }]}`} {
		var v any
		if got, want := syntax.Words([]byte(doc), json.Unmarshal([]byte(doc), &v)), "a[1].b: a smaller number is needed, not 1e400"; got != want {
			t.Errorf("%s: %s, not %s", doc, got, want)
		}
	}
	if got := syntax.Words(nil, errors.New(`json: unknown field "x"`)); got != `unknown field "x"` {
		t.Error(got)
	}
}
