package stdio

import "errors"

var (
	ErrNotStarted = errors.New("cannot start the program")               // at the beginning: it is not there, or may not be run
	ErrEnded      = errors.New("the program ended")                      // with the message in hand
	ErrStopped    = errors.New("the program is being stopped")           // the pool has ended
	ErrTooLong    = errors.New("the program's line is too long")         // longer than a message can be
	ErrNotText    = errors.New("the message is not text")                // its bytes are no UTF-8, so it has no form as a line
	errUnasked    = errors.New("the program wrote a line nobody asked")  // the next answer would be taken for another's
	errLate       = errors.New("the program did not answer in time")     // its answer would be taken for the next one's
	errClosed     = errors.New("the program closed its standard output") // no answer can come any more
)
