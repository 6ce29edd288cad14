package view

import (
	"cmp"
	"slices"
	"time"

	"github.com/damrey/damrey/internal/api"
	"github.com/damrey/damrey/internal/report"
)

// maxFailures is how many failures of a route are kept.
const maxFailures = 5

// failures are the last ones of a route that beats told of, by when they were. A beat tells of the last one since the beat
// before.
type failures []failure

type failure struct {
	at         time.Duration
	code, text string
	instance   string
}

// note takes the failure that a beat tells of. The instance's clock only says how long before the beat was sent it was; it was
// since the beat before.
func (f *failures) note(now Instant, sent time.Time, i *instance, r *report.In) {
	ago := time.Duration(0)
	if !r.LastAt.IsZero() {
		ago = min(max(0, sent.Sub(r.LastAt)), i.span().time)
	}
	last := failure{now.Run - ago, cmp.Or(clip(r.LastCode), report.Error), clip(r.LastError), i.key.id}
	n := len(*f)
	for n > 0 && (*f)[n-1].at > last.at {
		n--
	}
	*f = slices.Insert(*f, n, last)
	if len(*f) > maxFailures {
		*f = slices.Delete(*f, 0, 1)
	}
}

// lastText is what the last one said, if it was since then.
func (f failures) lastText(since time.Duration) string {
	if len(f) == 0 || f[len(f)-1].at <= since {
		return ""
	}
	return f[len(f)-1].text
}

// list is newest first, of the last day.
func (f failures) list(now Instant) (all []api.LastError) {
	for _, one := range slices.Backward(f) {
		if now.Run-one.at < coarseTime {
			all = append(all, api.LastError{At: now.wallAt(one.at), Code: one.code, Text: one.text, Instance: one.instance})
		}
	}
	return all
}
