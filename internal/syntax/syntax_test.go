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
