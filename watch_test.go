package damrey

import (
	"testing"
	"time"
)

func TestTold_TroubleThatLastsIsToldFromTimeToTime(t *testing.T) {
	t.Parallel()
	var said told
	begin := time.Unix(1_000_000, 0)
	for _, c := range []struct {
		after time.Duration
		text  string
		want  bool
	}{
		{0, "away", true},
		{time.Second, "away", false},
		{tellAgain, "away", true},
		{tellAgain + time.Second, "away", false},
		{tellAgain + 2*time.Second, "damaged", true},
		{2*tellAgain + time.Second, "damaged", false},
		{2*tellAgain + 2*time.Second, "damaged", true},
	} {
		if got := said.news(c.text, begin.Add(c.after)); got != c.want {
			t.Errorf("%s after %v: %v", c.text, c.after, got)
		}
	}
	if said.since != begin {
		t.Errorf("began %v", said.since)
	}
}
