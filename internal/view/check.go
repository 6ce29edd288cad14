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

func checkRoutes(b *report.Beat) error {
	seen := make(map[Key]bool, max(len(b.In), len(b.Out)))
	for n := range b.In {
		r := &b.In[n]
		if err := checkRoute(seen, Key{r.From, r.Type, b.Worker}); err != nil {
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
	clear(seen)
	for n := range b.Out {
		r := &b.Out[n]
		if r.From != "" && !daemon(b.Worker) {
			return fmt.Errorf("a beat of %s that speaks for %s", b.Worker, r.From)
		}
		if err := checkRoute(seen, outKey(b, r)); err != nil {
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

func checkRoute(seen map[Key]bool, k Key) error {
	if err := checkKey(k); err != nil {
		return fmt.Errorf("a beat with a wrong route: %w", err)
	}
	if seen[k] {
		return fmt.Errorf("a beat with %s twice", k)
	}
	seen[k] = true
	return nil
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
