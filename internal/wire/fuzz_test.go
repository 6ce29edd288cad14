package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// seeds are payloads on both sides of every rule of the decoder.
var seeds = []string{
	``, ` `, `[]`, ` [ ] `, `[`, `]`, `["`, `[""]`, `["a"`, `["a",`, `["a",]`, `[,"a"]`, `["a" "b"]`, `["a"]x`, `x["a"]`,
	`["REQUEST","add","1","2"]`, "\t[ \"a\" ,\r\n \"b\" ]\n", `["STOP"]["TIMEOUT"]`, "[\"a\"]\n[\"b\"]\n", `["line\nbreak"]`, "[\"line\nbreak\"]",
	`["\"\\\/\b\f\n\r\t"]`, `["\u00e9\u65e5\ud83d\ude00"]`, `["\ud83d"]`, `["\ude00\ud83d"]`, `["\ud83d\u0041"]`, `["\ud83d\ud83d\ude00"]`,
	`["\u12"]`, `["\u12g4"]`, `["\x"]`, `["\`, `["\u`, `["\u1234`, `["é日😀"]`, "[\"\u2028\u2029\x7f\"]", "[\"\xff\"]", "[\"\xed\xa0\x80\"]", "[\"\xe6\x97\"]",
	`[null]`, `[true]`, `[1]`, `[-1e5]`, `[["a"]]`, `[{"a":1}]`, `null`, `"a"`, `{"a":"b"}`, `hello`, "\xef\xbb\xbf[\"a\"]",
	`["12345678","1234567","123456789abcdef0","12345678\n"]`, `["` + strings.Repeat("plain text ", 40) + `"]`, `[` + strings.Repeat(`"x",`, 40) + `"y"]`,
	"\x90", "\x91\xa1a", "\x92\xa1a\xc4\x01\xff", "\x91\xc4\x00", "\x91\xc5\x00\x01\xff", "\x91\xc6\x00\x00\x00\x01\xff",
	"\x91\xd9\x01a", "\x91\xda\x00\x01a", "\x91\xdb\x00\x00\x00\x01a", "\x91\xdb\xff\xff\xff\xffa", "\xdc\x00\x01\xa1a", "\xdd\x00\x00\x00\x01\xa1a",
	"\xdd\xff\xff\xff\xff\xa1a", "\xdc\x00", "\x91", "\x91\x01", "\x91\xc0", "\x91\xa5ab", "\x91\xc1", "\x91\xa1\xff", "\x91\xa1a [\"b\"]\n\x90",
}

// reference decodes data with encoding/json under the rules of this package: exactly one array
// that has only strings, in valid UTF-8.
func reference(data []byte) ([]string, bool) {
	var value any
	if !utf8.Valid(data) || json.Unmarshal(data, &value) != nil {
		return nil, false
	}
	array, ok := value.([]any)
	msg := make([]string, 0, len(array))
	for _, element := range array {
		s, isString := element.(string)
		ok = ok && isString
		msg = append(msg, s)
	}
	return msg, ok
}

func isPackPayload(data []byte) bool {
	data = bytes.TrimLeft(data, " \t\r\n")
	return len(data) > 0 && isPack(data[0])
}

// FuzzDecode: any bytes are decoded as encoding/json does, or are a SyntaxError inside the data.
func FuzzDecode(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		msg, err := Decode(data)
		if !bytes.Equal(data, before) {
			t.Fatalf("Decode changed its input %q to %q", before, data)
		}
		checkError(t, data, err)
		if err == nil {
			checkAgain(t, msg)
		}
		if isPackPayload(data) {
			return
		}
		want, ok := reference(data)
		if ok != (err == nil) {
			t.Fatalf("Decode(%q) = %q, %v; encoding/json accepts it: %v", data, msg, err, ok)
		}
		if ok && !slices.Equal(msg, want) {
			t.Fatalf("Decode(%q) = %q, encoding/json has %q", data, msg, want)
		}
	})
}

func checkError(t *testing.T, data []byte, err error) {
	t.Helper()
	var syntax *SyntaxError
	if err != nil && !errors.As(err, &syntax) {
		t.Fatalf("error for %q is %T, not *SyntaxError", data, err)
	}
	if syntax != nil && (syntax.Offset < 0 || syntax.Offset > len(data) || syntax.What == "" || !utf8.ValidString(syntax.What)) {
		t.Fatalf("error for %q is %+v", data, syntax)
	}
}

func checkAgain(t *testing.T, msg []string) {
	t.Helper()
	again, err := Decode(Append(nil, msg))
	if err != nil || !slices.Equal(again, msg) {
		t.Fatalf("%q written and read again is %q, %v", msg, again, err)
	}
}

// elements cuts text into as many elements as it has bytes of value cut, and one.
func elements(text string, cut byte) []string {
	return strings.Split(text, string([]byte{cut}))
}

// FuzzRoundTrip: any strings survive; valid UTF-8 is written as encoding/json writes it.
func FuzzRoundTrip(f *testing.F) {
	for _, s := range seeds {
		f.Add(s, byte(','))
		f.Add(s, byte('a'))
	}
	f.Add("REQUEST,add,<b>&\u2028\x00\x1f\x7f,é", byte(','))
	f.Add("REQUEST\xffadd\xff\xfe\xff", byte(0xff))
	f.Fuzz(func(t *testing.T, text string, cut byte) {
		msg := elements(text, cut)
		prefix := []byte("kept")
		data, found := bytes.CutPrefix(Append(prefix, msg), prefix)
		if !found {
			t.Fatalf("Append lost what dst held")
		}
		again, err := Decode(data)
		if err != nil || !slices.Equal(again, msg) {
			t.Fatalf("%q is written as %q and read as %q, %v", msg, data, again, err)
		}
		valid := !slices.ContainsFunc(msg, func(s string) bool { return !utf8.ValidString(s) })
		if IsText(data) != valid {
			t.Fatalf("IsText(%q) = %v", data, !valid)
		}
		if want := encodingJSON(t, msg); valid && !bytes.Equal(data, want) {
			t.Fatalf("%q is written as %q, encoding/json writes %q", msg, data, want)
		}
	})
}

func encodingJSON(t *testing.T, msg []string) []byte {
	t.Helper()
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(msg); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

// FuzzSeveral: payloads one behind the other are read as one by one, and Next and Reader agree with Each.
func FuzzSeveral(f *testing.F) {
	for i, s := range seeds {
		f.Add([]byte(s), []byte(seeds[len(seeds)-1-i]), byte(i))
	}
	f.Fuzz(func(t *testing.T, a, b []byte, between byte) {
		spaces := []string{"", " ", "\n", "\t\r\n"}
		data := slices.Concat(a, []byte(spaces[int(between)%len(spaces)]), b)
		byNext, nextErr := collectNext(data)
		var byEach [][]string
		eachErr := Each(data, 0, func(msg []string) error { byEach = append(byEach, msg); return nil })
		checkError(t, data, eachErr)
		if (nextErr == nil) != (eachErr == nil) || !slices.EqualFunc(byNext, byEach, slices.Equal) {
			t.Fatalf("%q: Next gives %q, %v; Each gives %q, %v", data, byNext, nextErr, byEach, eachErr)
		}
		byReader, readerErr := collectReader(data)
		if (readerErr == nil) != (eachErr == nil) || !slices.EqualFunc(byReader, byEach, slices.Equal) {
			t.Fatalf("%q: Reader gives %q, %v; Each gives %q, %v", data, byReader, readerErr, byEach, eachErr)
		}
		first, errA := collectNext(a)
		second, errB := collectNext(b)
		if errA != nil || errB != nil {
			return
		}
		if want := append(first, second...); eachErr != nil || !slices.EqualFunc(byEach, want, slices.Equal) {
			t.Fatalf("%q holds %q, %v, but its parts hold %q", data, byEach, eachErr, want)
		}
	})
}

func collectNext(data []byte) (all [][]string, err error) {
	for {
		msg, rest, err := Next(data)
		if err != nil {
			return all, err
		}
		all = append(all, msg)
		if len(rest) == 0 {
			return all, nil
		}
		data = rest
	}
}

func collectReader(data []byte) (all [][]string, err error) {
	r := NewReader(data)
	for {
		msg, err := r.Next()
		if err != nil {
			return all, err
		}
		// Elements lie side by side: none may be reached from the one before.
		if cap(msg) != len(msg) {
			return all, errors.New("a message has room for more than its own elements")
		}
		all = append(all, msg)
		if !r.More() {
			return all, nil
		}
	}
}
