package wire

import (
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestAppend_WritesJSONOrMessagePack(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		msg  []string
		want string
	}{
		{nil, `[]`},
		{[]string{}, `[]`},
		{[]string{""}, `[""]`},
		{[]string{"REQUEST", "add", "1", "2"}, `["REQUEST","add","1","2"]`},
		{[]string{"a\"b\\c/", "<&>"}, `["a\"b\\c/","<&>"]`},
		{[]string{"\x00\b\t\n\f\r\x1f\x7f"}, `["\u0000\b\t\n\f\r\u001f` + "\x7f" + `"]`},
		{[]string{"é日😀\u2028\u2029\ufffd"}, `["é日😀\u2028\u2029` + "\ufffd" + `"]`},
		{[]string{"a", "\xff"}, "\x92\xa1a\xc4\x01\xff"},
		{[]string{strings.Repeat("a", 32), "\xff"}, "\x92\xd9\x20" + strings.Repeat("a", 32) + "\xc4\x01\xff"},
	} {
		if got := string(Append([]byte("x"), tt.msg)); got != "x"+tt.want {
			t.Errorf("Append(%q) = %q, want %q", tt.msg, got, tt.want)
		}
	}
}

// Every position of a byte that is not plain, in strings around the width of a word.
func TestAppend_FindsWhatNeedsEscapingAnywhere(t *testing.T) {
	t.Parallel()
	for length := 1; length <= 40; length++ {
		for at := range length {
			for _, odd := range []string{`"`, `\`, "\n", "\x1f", "\x7f", " ", "!", "é", "\xff", "\u2028"} {
				msg := []string{strings.Repeat("a", at) + odd + strings.Repeat("z", length-at-1)}
				data := Append(nil, msg)
				if got, err := Decode(data); err != nil || !slices.Equal(got, msg) {
					t.Fatalf("%q is written as %q and read as %q, %v", msg, data, got, err)
				}
				if want := string(encodingJSON(t, msg)); IsText(data) && string(data) != want {
					t.Fatalf("%q is written as %q, encoding/json writes %q", msg, data, want)
				}
			}
		}
	}
}

func TestIsText_LooksBehindWhiteSpace(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string]bool{
		"": false, " \n": false, "[": true, " \t\r\n[": true, "hello": false, "\x91\xa1a": false, " \x90[": false,
	} {
		if got := IsText([]byte(payload)); got != want {
			t.Errorf("IsText(%q) = %v", payload, got)
		}
	}
}

func TestNext_ReadsArrayAfterArray(t *testing.T) {
	t.Parallel()
	data := []byte(" [\"a\\nb\",\"c\"]\n[][\"d\"] \x92\xa1e\xc4\x01\xff\t\xdc\x00\x01\xd9\x01f\n ")
	got, err := collectNext(data)
	want := [][]string{{"a\nb", "c"}, {}, {"d"}, {"e", "\xff"}, {"f"}}
	if err != nil || !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("Next gives %q, %v, want %q", got, err, want)
	}
}

func TestNext_KeepsDataOnError(t *testing.T) {
	t.Parallel()
	msg, rest, err := Next([]byte(`["a",1]`))
	if msg != nil || string(rest) != `["a",1]` || err == nil {
		t.Errorf("Next = %q, %q, %v", msg, rest, err)
	}
}

func TestDecode_ElementsOutliveThePayload(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`["ab","cd"]`, `["a\u0062","cd"]`, "\x92\xa2ab\xc4\x02cd"} {
		data := []byte(text)
		msg, err := Decode(data)
		clear(data)
		if err != nil || !slices.Equal(msg, []string{"ab", "cd"}) {
			t.Errorf("Decode(%q) = %q, %v after its payload was cleared", text, msg, err)
		}
	}
}

func TestEach_StopsAtTheFirstError(t *testing.T) {
	t.Parallel()
	var got []string
	collect := func(msg []string) error { got = append(got, msg...); return nil }
	err := Each([]byte(`["a"] ["b"] [3]`), 0, collect)
	if !errors.As(err, new(*SyntaxError)) || !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("Each gave %q and %v, want a and b and a *SyntaxError", got, err)
	}
	if want := "malformed payload at byte 14: element 1 is a number, but a message is an array of strings only: write it in quotes"; err.Error() != want {
		t.Errorf("error is %q, want %q", err, want)
	}
	calls := 0
	err = Each([]byte(`["a"]["b"]`), 0, func([]string) error { calls++; return io.EOF })
	if err != io.EOF || calls != 1 {
		t.Errorf("Each called a failing function %d times and returned %v", calls, err)
	}
}

func TestEach_BoundsTheCount(t *testing.T) {
	t.Parallel()
	data := []byte("[\"a\"]\n[\"b\"]\n[\"c\"]\n")
	for limit, want := range map[int]int{-1: 3, 0: 3, 1: 1, 2: 2, 3: 3, 4: 3} {
		calls := 0
		err := Each(data, limit, func([]string) error { calls++; return nil })
		if calls != want || (err != nil) != (want < 3) {
			t.Errorf("Each with limit %d made %d calls, want %d, and returned %v", limit, calls, want, err)
		}
	}
	err := Each(data, 2, func([]string) error { return nil })
	if want := "malformed payload at byte 13: more than 2 messages in one payload"; err == nil || err.Error() != want {
		t.Errorf("error is %v, want %q", err, want)
	}
}

func TestCodec_Allocates(t *testing.T) {
	dst := make([]byte, 0, 256)
	msg := []string{"REQUEST", "add", "1234567890123", "12345678901234"}
	if n := testing.AllocsPerRun(100, func() { dst = Append(dst[:0], msg) }); n != 0 {
		t.Errorf("Append allocates %v times into a large enough dst, want 0", n)
	}
	for _, payload := range []string{string(dst), `["a\n","\u00e9",""]`, "\x92\xa1a\xc4\x01\xff", `["` + strings.Repeat("a", 5000) + `"]`} {
		data := []byte(payload)
		if n := testing.AllocsPerRun(100, func() { _, _ = Decode(data) }); n != 2 {
			t.Errorf("Decode(%.40q) allocates %v times, want 2", payload, n)
		}
	}
}

func TestDecode_HugeHeaderAllocatesLittle(t *testing.T) {
	data := []byte("\xdd\xff\xff\xff\xff\xa1a\xa1b")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Decode(data)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; err == nil || n > 1<<16 {
		t.Errorf("a header of 4 billion elements makes Decode allocate %d bytes and return %v", n, err)
	}
}

// Quadratic time would make this run into the time limit of the tests.
func TestDecode_LargePayloads(t *testing.T) {
	t.Parallel()
	const size = 2 << 20
	blank := strings.Repeat(" ", size)
	for name, payload := range map[string]string{
		"plain":   `["` + strings.Repeat("a", size) + `"]`,
		"escapes": `["` + strings.Repeat(`\n`, size/2) + `"]`,
		"runes":   `["` + strings.Repeat("é\u2028", size/5) + `"]`,
		"many":    `["` + strings.Repeat(`a","`, size/4) + `"]`,
		"blank":   blank + "[" + blank + `"a"` + blank + "]" + blank,
		"arrays":  strings.Repeat(`["a"]`, size/5),
		"packs":   strings.Repeat("\x91\xa1a ", size/4),
		"pack":    "\xdd\x00\x20\x00\x00" + strings.Repeat("\xa0", size),
	} {
		n := 0
		err := Each([]byte(payload), 0, func(msg []string) error { n += len(msg); return nil })
		if err != nil || n == 0 {
			t.Errorf("%s: %d elements, %v", name, n, err)
		}
	}
}
