package damrey

import (
	"fmt"
	"time"
)

// RetryAfter is an error for a handler of a durable route: the message failed
// and comes again after d instead of the route's backoff. It counts as an
// attempt. d is at most six days, and more is cut to that: for a week it is
// remembered how often a message failed. On a direct route it is an error as any
// other.
func RetryAfter(d time.Duration) error { return &retryError{min(max(0, d), maxRetryAfter)} }

const maxRetryAfter = 6 * 24 * time.Hour

type retryError struct{ after time.Duration }

func (e *retryError) Error() string { return fmt.Sprintf("to be tried again in %v", e.after) }

// Discard is an error for a handler of a durable route: trying again is of no
// use, and the message goes to the dead letters now. On a direct route it is err.
func Discard(err error) error { return &discardError{err} }

type discardError struct{ error }

func (e *discardError) Unwrap() error { return e.error }
