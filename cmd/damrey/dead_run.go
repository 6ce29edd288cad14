package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/damrey/damrey/internal/api"
)

// deadRun does something with many letters, one after another, and counts what became of them.
type deadRun struct {
	verb     string        // for the progress, such as "retry"
	past     string        // for the report, such as "retried"
	pause    time.Duration // between two; 0: none
	tolerant bool          // a letter that is gone is no failure
	do       func(ctx context.Context, sequence uint64) (where string, err error)

	done   tally // by where
	stayed tally // by reason
	gone   []uint64
	left   int // not tried
}

// deadEnd is an error after which the others need not be tried.
func deadEnd(err error) bool {
	refused, ok := errors.AsType[*api.Error](err)
	return !ok || refused.Status == http.StatusServiceUnavailable
}

// run goes on until all are tried, ctx ends, or the proxy or the broker is away. What was begun is finished.
func (r *deadRun) run(ctx context.Context, a *app, sequences []uint64) error {
	bar := &progressBars{}
	if len(sequences) > 1 {
		bar = newProgressBars(a.stderr)
	}
	next := time.Now()
	var err error
	for i, sequence := range sequences {
		if !waitUntil(ctx, next) {
			r.left = len(sequences) - i
			break
		}
		next = later(next, r.pause)
		if err = r.one(context.WithoutCancel(ctx), sequence); err != nil {
			r.left = len(sequences) - i - 1
			break
		}
		bar.show(r.verb, i+1, len(sequences))
	}
	bar.end()
	return errors.Join(r.report(a), err)
}

// one returns an error when the others need not be tried.
func (r *deadRun) one(ctx context.Context, sequence uint64) error {
	where, err := r.do(ctx, sequence)
	refused, _ := errors.AsType[*api.Error](err)
	switch {
	case err == nil:
		r.done.add(where, sequence)
	case refused != nil && (refused.Status == http.StatusNotFound || refused.Status == http.StatusGone):
		r.gone = append(r.gone, sequence)
	case deadEnd(err):
		return fmt.Errorf("letter %d: %w", sequence, err)
	default:
		r.stayed.add(strings.TrimSuffix(err.Error(), "; the letter stays"), sequence)
	}
	return nil
}

// report prints what was done; what was not is the error.
func (r *deadRun) report(a *app) error {
	for where, sequences := range r.done.all() {
		fmt.Fprintf(a.stdout, "%s %s%s\n", r.past, count(len(sequences)), where)
	}
	var failed []error
	for why, sequences := range r.stayed.all() {
		failed = append(failed, fmt.Errorf("%s stayed (%s): %s", count(len(sequences)), numbers(sequences), why))
	}
	switch {
	case len(r.gone) > 0 && r.tolerant:
		fmt.Fprintf(a.stderr, "%s went away meanwhile (%s).\n", count(len(r.gone)), numbers(r.gone))
	case len(r.gone) > 0:
		failed = append(failed, fmt.Errorf("no such letter: %s; `damrey dead ls` shows those that are there", numbers(r.gone)))
	}
	if r.left > 0 {
		failed = append(failed, fmt.Errorf("%s not tried", count(r.left)))
	}
	return errors.Join(failed...)
}

func count(n int) string {
	if n == 1 {
		return "1 letter"
	}
	return fmt.Sprintf("%d letters", n)
}

// numbers names the first few.
func numbers(sequences []uint64) string {
	const most = 8
	var b strings.Builder
	for i, sequence := range sequences[:min(most, len(sequences))] {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprint(&b, sequence)
	}
	if n := len(sequences) - most; n > 0 {
		fmt.Fprintf(&b, " and %d more", n)
	}
	return b.String()
}

// waitUntil is false when ctx ended before.
func waitUntil(ctx context.Context, at time.Time) bool {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}

// later is when the next one may begin. What a slow one lost is not caught up with.
func later(at time.Time, pause time.Duration) time.Time {
	if now := time.Now(); at.Before(now.Add(-pause)) {
		at = now
	}
	return at.Add(pause)
}
