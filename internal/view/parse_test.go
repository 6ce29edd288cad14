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
	var p Parser
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
		if b, err := p.Parse("w", "i", []byte(doc)); err == nil {
			t.Errorf("%s is taken: %+v", name, b)
		}
	}
	if _, err := p.Parse("w", "i", []byte(`{"worker":"w","instance":"i","state":"ready","in":[{"from":"a","type":"b","handled":1,"stay":"6:1"}],"new":1}`)); err != nil {
		t.Error(err)
	}
}

// everything is a beat that says all there is to say, and is refused for its worker.
const everything = `{"worker":"v","instance":"i","version":"1","host":"h","name":"n","url":"u","agent":"a","program":"p","pid":1,
"started":"2026-01-02T15:04:05Z","at":"2026-01-02T15:04:05Z","state":"ready","stale":true,"in_flight":1,"queued":1,"capacity":1,
"in":[{"from":"f","type":"t","handled":9,"errors":1,"timeouts":1,"busy":1,"malformed":1,"wait_ns":1,"work_ns":1,"stay":"3:1 1 1","last_error":"e"},
{"from":"g","stay":"1 2 3"},{"from":"h","stay":"7:1"}],
"out":[{"from":"f","type":"t","to":"t","sent":1,"timeouts":1,"stopped":1,"undelivered":1},{"from":"g"}],"counts":{"sent":3}}`

// withoutRoom is a beat as it would have been read into nothing.
func withoutRoom(b report.Beat) report.Beat {
	for n := range b.In {
		if len(b.In[n].Stay) == 0 {
			b.In[n].Stay = nil
		}
	}
	if len(b.In) == 0 {
		b.In = nil
	}
	if len(b.Out) == 0 {
		b.Out = nil
	}
	return b
}

// What reads beats is not what everybody else reads JSON with, and reads one into the room of the one before: it must see the
// same in what is a beat.
func FuzzParse(f *testing.F) {
	f.Add(`{"worker":"w","instance":"i","state":"ready","in":[{"from":"a","type":"b","handled":1,"stay":"6:1 2"}],"counts":{"sent":3}}`)
	f.Add(`{"worker":"w","instance":"i","state":"left","started":"2026-01-02T15:04:05Z","at":null,"out":[{"to":"\u00e9","sent":18446744073709551615}]}`)
	f.Add(`{"worker":"w","instance":"i","state":"ready","in":[{},null,{"type":"b"}],"out":[{"to":"x"},null]}`)
	f.Add(`{"Worker":"w","instance":"i","instance":"j","state":"ready","pid":1e3,"new":[[[{}]]]}`)
	f.Add(strings.Repeat(`{"in":[`, 20))
	f.Fuzz(func(t *testing.T, doc string) {
		var p Parser
		if _, err := p.Parse("w", "i", []byte(everything)); err == nil {
			t.Fatal("the beat of another worker is taken")
		}
		b, err := p.Parse("w", "i", []byte(doc))
		if err != nil {
			return
		}
		var want report.Beat
		if err := json.Unmarshal([]byte(doc), &want); err != nil {
			t.Skip("taken, though it is not quite JSON: ", err)
		}
		if got, want := withoutRoom(*b), withoutRoom(want); !reflect.DeepEqual(got, want) {
			t.Errorf("%s\nis read as\n%+v\nand is\n%+v", doc, *b, want)
		}
	})
}

// A beat that is nested as deeply as its size allows ends in an error, and not in an overflow.
func TestParse_Deep(t *testing.T) {
	t.Parallel()
	doc := `{"worker":"w","instance":"i","state":"ready","new":` + strings.Repeat("[", report.MaxSize-100)
	if b, err := new(Parser).Parse("w", "i", []byte(doc)); err == nil {
		t.Errorf("taken: %+v", b)
	}
}
