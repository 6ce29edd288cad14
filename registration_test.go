package damrey

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const seedRegistration = `{"mpu":"100","name":"entry","agent":"10.1.2.3:8080","commands":[{"name":"test","worker":"testWorker","mpu":"1"}]}`

func TestRegistration_JSONIsExactlyTheOriginals(t *testing.T) {
	t.Parallel()
	reg, err := ParseRegistration([]byte(seedRegistration))
	if err != nil {
		t.Fatal(err)
	}
	if reg.MPU != 100 || reg.Agent != "10.1.2.3:8080" || reg.Commands[0].Worker != "testWorker" {
		t.Errorf("read %+v", reg)
	}
	out, err := json.Marshal(reg)
	if err != nil {
		t.Fatal(err)
	}
	if string(out) != seedRegistration {
		t.Errorf("wrote %s", out)
	}
}

func TestRegistration_RefusesWhatIsWrongByName(t *testing.T) {
	t.Parallel()
	cmd := func(rows string) string { return `{"name":"w","commands":[` + rows + `]}` }
	for _, c := range []struct{ doc, want string }{
		{"{\n \"name\": \"w\",\n oops}", "broken JSON at line 3, column 2: invalid character 'o' looking for beginning of object key string"},
		{``, "broken JSON at line 1, column 1: unexpected end of JSON input"},
		{`[]`, "an object is needed, not []"},
		{`null`, "is null; an object is needed"},
		{`{}`, "name: is empty; 1 to 64 of A-Z a-z 0-9 _ - are allowed"},
		{`{"name":7}`, "name: a string is needed, not 7"},
		{`{"name":"w","color":"red"}`, "color: unknown field; known are mpu, name, agent, max_messages, max_bytes, paused, commands"},
		{cmd(`{"name":"a","worker":"b","x":1}`), "commands[0].x: unknown field; known are name, worker, mpu, batch, delivery, attempts, backoff, window, key, paused"},
		{`{"name":"a.b"}`, `name: "a.b": character '.' at position 2 is not allowed; use A-Z a-z 0-9 _ -`},
		{`{"name":"größe"}`, `name: "größe": character 'ö' at position 3 is not allowed; use A-Z a-z 0-9 _ -`},
		{`{"name":"damrey-x"}`, `name: "damrey-x": names beginning "damrey-" belong to the fabric; choose another`},
		{`{"name":"w","mpu":"-1"}`, "mpu: -1 is out of range; use 1 to 1000000, or leave it out for the default"},
		{`{"name":"w","mpu":"ten"}`, `mpu: "ten" is not a whole number`},
		{`{"name":"w","mpu":1.5}`, "mpu: 1.5 is not a whole number"},
		{`{"name":"w","agent":"a b"}`, `agent: "a b": character ' ' at position 2 is not allowed in an agent's name, such as 10.1.2.3:8080`},
		{`{"name":"w","agent":"nats://10.1.2.3:4222"}`, `agent: "nats://10.1.2.3:4222": an agent's name is an address such as 10.1.2.3:4222, no path and no URL`},
		{`{"name":"w","commands":{}}`, "commands: a list is needed, not {}"},
		{cmd(`7`), "commands[0]: an object is needed, not 7"},
		{cmd(`{"name":">","worker":"b"}`), `commands[0].name: ">": character '>' at position 1 is not allowed; use A-Z a-z 0-9 _ -`},
		{cmd(`{"name":"a","worker":""}`), "commands[0].worker: is empty; 1 to 64 of A-Z a-z 0-9 _ - are allowed"},
		{cmd(`{"name":"a","worker":"b","batch":257}`), "commands[0].batch: 257 is out of range; use 1 to 256, or leave it out for the default"},
		{cmd(`{"name":"a","worker":"b","delivery":"durible"}`), `commands[0].delivery: "durible" is no delivery; use direct or durable`},
		{cmd(`{"name":"a","worker":"b","delivery":7}`), "commands[0].delivery: a string is needed, not 7"},
		{cmd(`{"name":"a","worker":"b","attempts":3}`), `commands[0].delivery: attempts, backoff, window and key are of durable routes; set "delivery": "durable", or leave them out`},
		{cmd(`{"name":"a","worker":"b","delivery":"durable","attempts":-1}`), "commands[0].attempts: -1 is out of range; use 1 to 1000, or leave it out for the default"},
		{cmd(`{"name":"a","worker":"b","delivery":"durable","backoff":"soon"}`), `commands[0].backoff: "soon" is no duration; write it as "500ms", "2s" or "1m30s"`},
		{cmd(`{"name":"a","worker":"b","delivery":"durable","backoff":7}`), `commands[0].backoff: 7 is no duration; write it as "500ms", "2s" or "1m30s"`},
		{cmd(`{"name":"a","worker":"b","delivery":"durable","backoff":"-1s"}`), "commands[0].backoff: -1s is out of range; use up to 1h0m0s, or leave it out for 1s"},
		{cmd(`{"name":"a","worker":"b","delivery":"durable","batch":8}`), "commands[0].batch: a durable route stores every message by itself; leave batch out"},
		{cmd(`{"name":"a","worker":"b","delivery":"durable","window":"10ms"}`), "commands[0].window: 10ms is out of range; use 1s to 720h0m0s, or leave it out for 2m0s"},
		{cmd(`{"name":"a","worker":"b","delivery":"durable","key":-1}`), "commands[0].key: -1 is no argument's index; use 0 for the first one"},
		{cmd(`{"name":"a","worker":"b","delivery":"durable","key":"id"}`), `commands[0].key: "id" is not a whole number`},
		{cmd(`{"name":"a","worker":"b","delivery":"durable","key":1001}`), "commands[0].key: 1001 is no argument's index; use 0 for the first one, up to 1000"},
		{cmd(`{"name":"a","worker":"b","key":0}`), `commands[0].delivery: attempts, backoff, window and key are of durable routes; set "delivery": "durable", or leave them out`},
		{`{"name":"w","paused":"yes"}`, `paused: true or false is needed, not "yes"`},
		{cmd(`{"name":"a","worker":"b","paused":1}`), `commands[0].paused: true or false is needed, not 1`},
		{`{"name":"w","max_messages":-1}`, "max_messages: -1 is negative; use 1 or more, or leave it out for no bound"},
		{`{"name":"w","max_bytes":-7}`, "max_bytes: -7 is negative; use 1 or more, or leave it out for no bound"},
		{cmd(`{"name":"a","worker":"b","delivery":"durable","window":"-1s"}`), "commands[0].window: -1s is out of range; use 1s to 720h0m0s, or leave it out for 2m0s"},
		{`{"name":"w","max_bytes":"many"}`, `max_bytes: "many" is not a whole number`},
		{cmd(`{"name":"a","worker":"b"},{"name":"a","worker":"c"}`), `commands[1].name: type "a" stands twice: commands[0] sends it to "b", commands[1] to "c"; keep one`},
	} {
		_, err := ParseRegistration([]byte(c.doc))
		if _, ok := errors.AsType[*FieldError](err); !ok || err.Error() != c.want {
			t.Errorf("%s\n got %v\nwant %s", c.doc, err, c.want)
		}
	}
}

// A limit of zero is refused where people write it, and not taken for none given. A row that has one is read as ever.
func TestRegistration_RefusesALimitOfZero(t *testing.T) {
	t.Parallel()
	const row = `{"name":"a","worker":"b","delivery":"durable",`
	for field, doc := range map[string]string{
		"mpu":                  `{"name":"w","mpu":"0"}`,
		"max_messages":         `{"name":"w","max_messages":0}`,
		"max_bytes":            `{"name":"w","max_bytes":"0"}`,
		"commands[0].mpu":      `{"name":"w","commands":[` + row + `"mpu":0}]}`,
		"commands[0].batch":    `{"name":"w","commands":[` + row + `"batch":0}]}`,
		"commands[0].backoff":  `{"name":"w","commands":[` + row + `"backoff":"0s"}]}`,
		"commands[0].window":   `{"name":"w","commands":[` + row + `"window":"0h0m0s"}]}`,
		"commands[1].attempts": `{"name":"w","commands":[{"name":"x","worker":"y"},` + row + `"attempts":0}]}`,
	} {
		_, err := ParseRegistration([]byte(doc))
		use := "1 or more"
		if strings.HasSuffix(field, "backoff") || strings.HasSuffix(field, "window") {
			use = "a duration such as 1s"
		}
		if want := field + ": 0 is out of range; use " + use + ", or leave it out for the default"; err == nil || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", doc, err, want)
		}
	}
	if _, err := ParseRegistration([]byte(`{"name":"w","commands":[` + row + `"key":0}]}`)); err != nil {
		t.Errorf("the first argument is a key: %v", err)
	}
	var reg Registration
	if err := json.Unmarshal([]byte(`{"name":"w","mpu":0,"max_messages":0,"commands":[`+row+`"attempts":0,"window":"0s"}]}`), &reg); err != nil {
		t.Fatal(err)
	}
	if r := newRow("damrey", reg, 1).Route("a"); r.Cost != DefaultCommandMPU || r.Attempts != DefaultAttempts || r.Backoff != DefaultBackoff || r.Window != DefaultWindow {
		t.Errorf("%+v", r)
	}
}

func TestRegistration_PausedStandsBehindTheOtherOptionalFields(t *testing.T) {
	t.Parallel()
	const doc = `{"name":"w","agent":"","max_bytes":9,"paused":true,"commands":[{"name":"a","worker":"b","batch":2,"paused":true},{"name":"c","worker":"d"}]}`
	reg, err := ParseRegistration([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	if !reg.Paused || !reg.Commands[0].Paused || reg.Commands[1].Paused {
		t.Errorf("read %+v", reg)
	}
	out, err := json.Marshal(reg)
	if err != nil {
		t.Fatal(err)
	}
	if string(out) != doc {
		t.Errorf("wrote %s", out)
	}
}

func TestRegistration_ReadersKeepFieldsOfANewerVersion(t *testing.T) {
	t.Parallel()
	doc := `{"mpu":"7","name":"w","agent":"","commands":[{"name":"a","worker":"b","shadow":"c"}],"shade":true}`
	var reg Registration
	if err := json.Unmarshal([]byte(doc), &reg); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(reg)
	if err != nil {
		t.Fatal(err)
	}
	if string(out) != doc {
		t.Errorf("wrote %s", out)
	}
}

func TestCheckName_IsExactlyTheAlphabet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.StringN(0, 70, -1), rapid.StringMatching(`[A-Za-z0-9_-]{0,70}`)).Draw(t, "name")
		want := s != "" && len(s) <= 64 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == ""
		for _, r := range s {
			want = want && (r == '_' || r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z')
		}
		if got := CheckName(s) == nil; got != want {
			t.Fatalf("CheckName(%q) allowed: %v", s, got)
		}
	})
}

func TestRow_RoutesByTypeThenByDefault(t *testing.T) {
	t.Parallel()
	row := newRow("damrey", Registration{Name: "w", Commands: []Command{
		{Name: "a", Worker: "x", MPU: 5, Batch: 64}, {Name: "*", Worker: "y"},
	}}, 1)
	for _, c := range []struct{ typ, want string }{
		{"a", "w→a→x 5 64 damrey.msg.x.a.w"},
		{"b", "w→b→y 1 1 damrey.msg.y.b.w"},
	} {
		r := row.Route(c.typ)
		if got := fmt.Sprintf("%v %d %d %s", r, r.Cost, r.Batch, r.subject); got != c.want {
			t.Errorf("%s: %s, want %s", c.typ, got, c.want)
		}
	}
	for _, bad := range []string{"a.b", "", ">", strings.Repeat("x", 65)} {
		if r := row.Route(bad); r != nil {
			t.Errorf("%q was routed to %v", bad, r)
		}
	}
}

// What a newer version stored may stay and go; what nobody stored, and another value, is refused.
func TestRegistration_ExtraMayStayAsItStands(t *testing.T) {
	t.Parallel()
	read := func(doc string) (r Registration) {
		if err := json.Unmarshal([]byte(doc), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	stored := []Registration{
		read(`{"name":"w","commands":[{"name":"a","worker":"b"}],"old":1}`),
		read(`{"name":"w","commands":[{"name":"a","worker":"b","shadow":{"to":"c","share":0.5}}],"weight":7}`),
	}
	for doc, want := range map[string]string{
		`{"name":"w","commands":[{"name":"more","worker":"py"},{"name":"a","worker":"z","shadow":{ "share":0.50, "to":"c"}}],"weight":7,"paused":true}`: "",
		`{"name":"w","commands":[]}`:                                          "",
		`{"name":"w","commands":[],"old":1}`:                                  "",
		`{"name":"w","commands":[],"weight":8}`:                               "weight: this version does not know the field and cannot change it",
		`{"name":"w","commands":[],"weigth":7}`:                               "weigth: unknown field; known are mpu, name",
		`{"name":"w","commands":[{"name":"other","worker":"b","shadow":{}}]}`: "commands[0].shadow: unknown field; known are name, worker",
		`{"name":"w","commands":[{"name":"a","worker":"b","shadow":"c"}]}`:    "commands[0].shadow: this version does not know the field",
		`{"name":"w","commands":[{"name":"a","worker":"b","weight":7}]}`:      "commands[0].weight: unknown field",
	} {
		err := read(doc).CheckExtra(stored...)
		if _, ok := errors.AsType[*FieldError](err); want == "" && err != nil || want != "" && (!ok || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%s\n got %v\nwant %s", doc, err, want)
		}
	}
}
