package bucket_test

import (
	"testing"

	"github.com/damrey/damrey/internal/bucket"
)

func TestReadAck_IsStrict(t *testing.T) {
	t.Parallel()
	for data, stream := range map[string]string{
		`{"stream":"AUDIT", "seq":12}`:                                                                               "AUDIT",
		`{"stream":"AUDIT","domain":"damrey","seq":12,"duplicate":true}`:                                             "AUDIT",
		`{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"},"stream":"AUDIT","seq":0}`: "AUDIT",
		`{"stream":"mine","seq":1,"price":3}`:                                                                        "",
		`{"stream":"mine"}`:                                                                                          "",
		`{"error":{"code":503},"seq":0}`:                                                                             "",
		`{"stream":"mine","seq":1} and more`:                                                                         "",
		`{"stream":"mine","seq":1`:                                                                                   "",
		`["RESPONSE","x"]`:                                                                                           "",
		"":                                                                                                           "",
	} {
		if got, ok := bucket.ReadAck([]byte(data)); got != stream || ok != (stream != "") {
			t.Errorf("%s: %q, %v", data, got, ok)
		}
	}
}
