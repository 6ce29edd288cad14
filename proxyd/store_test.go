package proxyd

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// A refusal of the broker is told in words, and stays what it is.
func TestAway_IsSaidPlainly(t *testing.T) {
	t.Parallel()
	for want, refusal := range map[string]*jetstream.APIError{
		"the broker is away: its cluster elects a leader, or has no majority": {Code: 503, ErrorCode: 10008, Description: "JetStream system temporarily unavailable"},
		"the broker is away: insufficient resources":                          {Code: 503, ErrorCode: 10023, Description: "insufficient resources"},
	} {
		err := away(refusal)
		if err.Error() != want || !errors.Is(err, errAway) {
			t.Errorf("it says %q, not %q", err, want)
		}
		if was, ok := errors.AsType[*jetstream.APIError](err); !ok || was != refusal {
			t.Errorf("%v is no refusal any more", err)
		}
	}
}
