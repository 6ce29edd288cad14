package wire

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// benchMessages are the shapes that matter: the common one is 50 bytes as JSON.
func benchMessages() []struct {
	name string
	msg  []string
} {
	return []struct {
		name string
		msg  []string
	}{
		{"short", []string{"REQUEST", "add", "1234567890123", "12345678901234"}},
		{"escapes", []string{"REQUEST", "add", "a \"quoted\" line\n", "C:\\temp\\file"}},
		{"unicode", []string{"REQUEST", "grüße", "größte Übermaße", "日本語のテキスト"}},
		{"long", []string{"REQUEST", "store", strings.Repeat("all plain text ", 300)}},
		{"many", strings.Split(strings.Repeat("argument,", 20), ",")},
		{"bytes", []string{"REQUEST", "add", "\xff\xfe\xfd", "12345678901234"}},
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, bm := range benchMessages() {
		b.Run(bm.name, func(b *testing.B) {
			buf := make([]byte, 0, 8192)
			b.SetBytes(int64(len(Append(buf, bm.msg))))
			b.ReportAllocs()
			for b.Loop() {
				buf = Append(buf[:0], bm.msg)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, bm := range benchMessages() {
		b.Run(bm.name, func(b *testing.B) {
			data := Append(nil, bm.msg)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncodingJSON(b *testing.B) {
	msg := benchMessages()[0].msg
	data := Append(nil, msg)
	b.Run("append", func(b *testing.B) {
		var buf bytes.Buffer
		enc := json.NewEncoder(&buf)
		enc.SetEscapeHTML(false)
		b.ReportAllocs()
		for b.Loop() {
			buf.Reset()
			if err := enc.Encode(msg); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var out []string
			if err := json.Unmarshal(data, &out); err != nil {
				b.Fatal(err)
			}
		}
	})
}
