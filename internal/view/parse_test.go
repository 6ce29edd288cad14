package view

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/damrey/damrey/internal/report"
)

func TestParse_WrongBeats(t *testing.T) {
	t.Parallel()
	for name, doc := range map[string]string{
		"no JSON":        `{`,
		"another worker": `{"worker":"a","instance":"i","state":"ready"}`,
		"another's id":   `{"worker":"w","instance":"j","state":"ready"}`,
		"no state":       `{"worker":"w","instance":"i"}`,
		"order":          `{"worker":"w","instance":"i","state":"ready","in":[{"stay":[5,1,4,1]}]}`,
		"bucket":         `{"worker":"w","instance":"i","state":"ready","in":[{"stay":[100000,1]}]}`,
		"half":           `{"worker":"w","instance":"i","state":"ready","in":[{"stay":[5]}]}`,
		"negative":       `{"worker":"w","instance":"i","state":"ready","in":[{"handled":-1}]}`,
	} {
		if b, err := Parse("w", "i", []byte(doc)); err == nil {
			t.Errorf("%s is taken: %+v", name, b)
		}
	}
	if _, err := Parse("w", "i", []byte(`{"worker":"w","instance":"i","state":"ready","in":[{"from":"a","type":"b","handled":1,"stay":"6:1"}],"new":1}`)); err != nil {
		t.Error(err)
	}
}

// What reads beats is not what everybody else reads JSON with: both must see the same in what is a beat.
func FuzzParse(f *testing.F) {
	f.Add(`{"worker":"w","instance":"i","state":"ready","in":[{"from":"a","type":"b","handled":1,"stay":"6:1 2"}],"counts":{"sent":3}}`)
	f.Add(`{"worker":"w","instance":"i","state":"left","started":"2026-01-02T15:04:05Z","at":null,"out":[{"to":"\u00e9","sent":18446744073709551615}]}`)
	f.Add(`{"Worker":"w","instance":"i","instance":"j","state":"ready","pid":1e3,"new":[[[{}]]]}`)
	f.Add(strings.Repeat(`{"in":[`, 20))
	f.Fuzz(func(t *testing.T, doc string) {
		b, err := Parse("w", "i", []byte(doc))
		if err != nil {
			return
		}
		var want report.Beat
		if err := json.Unmarshal([]byte(doc), &want); err != nil {
			t.Skip("taken, though it is not quite JSON: ", err)
		}
		if !reflect.DeepEqual(*b, want) {
			t.Errorf("%s\nis read as\n%+v\nand is\n%+v", doc, *b, want)
		}
	})
}

// A beat that is nested as deeply as its size allows ends in an error, and not in an overflow.
func TestParse_Deep(t *testing.T) {
	t.Parallel()
	doc := `{"worker":"w","instance":"i","state":"ready","new":` + strings.Repeat("[", report.MaxSize-100)
	if b, err := Parse("w", "i", []byte(doc)); err == nil {
		t.Errorf("taken: %+v", b)
	}
}
