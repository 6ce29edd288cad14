package view

import (
	"fmt"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/report"
)

const (
	maxText = 256
	// maxCount keeps sums over all instances from running over.
	maxCount = 1 << 48
)

// checkRoutes refuses routes that cannot be, and finds the pairs of those that an instance has told of before, which were
// checked then. i is nil of one that is new.
func (v *View) checkRoutes(i *instance, b *report.Beat) error {
	v.found.begin(i)
	for n := range b.In {
		r := &b.In[n]
		if err := v.found.next(Key{r.From, r.Type, b.Worker}); err != nil {
			return err
		}
		if r.Handled|r.Errors|r.Timeouts|r.Busy|r.Malformed >= maxCount {
			return errTooMany(r.From, r.Type)
		}
		for _, c := range r.Stay {
			if c.N >= maxCount {
				return errTooMany(r.From, r.Type)
			}
		}
	}
	v.found.outs()
	for n := range b.Out {
		r := &b.Out[n]
		if r.From != "" && !daemon(b.Worker) {
			return fmt.Errorf("a beat of %s that speaks for %s", b.Worker, r.From)
		}
		if err := v.found.next(outKey(b, r)); err != nil {
			return err
		}
		if r.Sent|r.Timeouts|r.Stopped|r.Undelivered >= maxCount {
			return errTooMany(r.To, r.Type)
		}
	}
	return nil
}

func errTooMany(worker, typ string) error {
	return fmt.Errorf("a beat that counts more along %s, %s than there can have been", worker, typ)
}

func checkKey(k Key) error {
	for _, name := range [...]string{k.From, k.Type, k.To} {
		if name == report.Other {
			continue
		}
		if err := damrey.CheckName(name); err != nil {
			return err
		}
	}
	return nil
}
