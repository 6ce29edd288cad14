package wire

import "testing"

func TestDecode_NamesTheFault(t *testing.T) {
	t.Parallel()
	const only = "but a message is an array of strings only: "
	for _, tt := range []struct{ payload, want string }{
		{"", `1: empty payload: expected a message such as ["REQUEST","add","1","2"]`},
		{" \n", `3: empty payload: expected a message such as ["REQUEST","add","1","2"]`},
		{`hello`, `1: expected a message such as ["REQUEST","add","1","2"], found 'h'`},
		{"\xff", `1: expected a message such as ["REQUEST","add","1","2"], found byte 0xff`},
		{"\x00", `1: expected a message such as ["REQUEST","add","1","2"], found byte 0x00`},
		{`{"a":"b"}`, `1: expected a message such as ["REQUEST","add","1","2"], found '{'`},
		{`["a"]é`, `6: expected the end of the payload after the message, found 'é'`},
		{`["a"] ["b"]`, `7: a second message follows where only one may stand`},
		{"[\"a\"]\x90", `6: a second message follows where only one may stand`},
		{`[`, `2: expected a string or ']' as element 1, found the end of the payload`},
		{`[x]`, `2: expected a string as element 1, found 'x'`},
		{`["a",]`, `6: expected a string after the comma, found ']'`},
		{`["a",`, `6: expected a string after the comma, found the end of the payload`},
		{`["a","b"`, `9: expected ',' or ']' after element 2, found the end of the payload`},
		{`["a" "b"]`, `6: expected ',' or ']' after element 1, found '"'`},
		{`["a","b`, `8: the payload ends inside element 2: its closing '"' is missing`},
		{`["a\`, `5: the payload ends inside element 1: its closing '"' is missing`},
		{`["a\u12`, `8: expected four hexadecimal digits after \u in element 1, found the end of the payload`},
		{`["a\u12g4"]`, `8: expected four hexadecimal digits after \u in element 1, found 'g'`},
		{`["C:\temp\x"]`, `11: expected one of " \ / b f n r t u after the backslash in element 1, found 'x': write a backslash as \\`},
		{"[\"a\nb\"]", `4: control character 0x0a inside element 1: write it as \n`},
		{"[\"a\x01\"]", `4: control character 0x01 inside element 1: write it as \u0001`},
		{"[\"a\",\"b\xffc\"]", `8: byte 0xff inside element 2 is not valid UTF-8: send bytes as a MessagePack array`},
		{`["a",1]`, `6: element 2 is a number, ` + only + `write it in quotes`},
		{`[-1]`, `2: element 1 is a number, ` + only + `write it in quotes`},
		{`[null]`, `2: element 1 is null, ` + only + `write "" for an empty one`},
		{`[true]`, `2: element 1 is a boolean, ` + only + `write it in quotes`},
		{`["a",false]`, `6: element 2 is a boolean, ` + only + `write it in quotes`},
		{`[["a"]]`, `2: element 1 is an array, ` + only + `write it as JSON text inside a string`},
		{`[{"a":1}]`, `2: element 1 is an object, ` + only + `write it as JSON text inside a string`},
		{"\xdc\x00", `1: the payload ends inside the header of a MessagePack array`},
		{"\x92\xa1a", `4: the payload ends before element 2 of 2 of a MessagePack array`},
		{"\x92\xa1a\xa5bc", `4: the payload ends inside element 2 of 2 of a MessagePack array`},
		{"\x91\xc6\xff\xff\xff\xffa", `2: the payload ends inside element 1 of 1 of a MessagePack array`},
		{"\x91\xc5\x01", `2: the payload ends inside element 1 of 1 of a MessagePack array`},
		{"\x91\x07", `2: element 1 of 1 of a MessagePack array is of type int, but only str and bin may stand there`},
		{"\x91\xc0", `2: element 1 of 1 of a MessagePack array is of type nil, but only str and bin may stand there`},
		{"\xdd\xff\xff\xff\xff", `6: the payload ends before element 1 of 4294967295 of a MessagePack array`},
	} {
		_, err := Decode([]byte(tt.payload))
		if want := "malformed payload at byte " + tt.want; err == nil || err.Error() != want {
			t.Errorf("Decode(%q)\n  says %v\n  want %s", tt.payload, err, want)
		}
	}
}
