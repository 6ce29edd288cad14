package damrey_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/damrey/damrey"
)

func TestParseRegistration_NamesTheKeyThatStandsTwice(t *testing.T) {
	t.Parallel()
	for document, field := range map[string]string{
		`{"name":"a","name":"b"}`:                    "name",
		`{"name":"a","mpu":1,"commands":[],"mpu":1}`: "mpu",
		`{"name":"a","commands":[{"name":"x","worker":"y"},{"name":"z","worker":"y","na\u006de":"q"}]}`: "commands[1].name",
		`{"name":"a","commands":[],"commands":[{"name":"x","name":"y"}]}`:                               "commands",
	} {
		_, err := damrey.ParseRegistration([]byte(document))
		wrong, ok := errors.AsType[*damrey.FieldError](err)
		if !ok || wrong.Field != field || wrong.Problem != "stands twice in one object; keep one" {
			t.Errorf("%s: %v", document, err)
		}
		var reg damrey.Registration
		if err := json.Unmarshal([]byte(document), &reg); err != nil {
			t.Errorf("what is in the table stays readable: %s: %v", document, err)
		}
	}
	for _, document := range []string{`{"name":"a","commands":[{"name":"x","worker":"a"},{"name":"y","worker":"a"}]}`, `[`, `{"name":`, `3`, `{"commands":7}`, ``} {
		if err := damrey.CheckKeys([]byte(document)); err != nil {
			t.Errorf("%s: %v", document, err)
		}
	}
}
