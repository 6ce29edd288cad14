package proxyd

import "errors"

// What the store says when it could not do what it was asked for.
var (
	errAway       = errors.New("the broker is away")                              // nothing was changed
	errUnsure     = errors.New("the broker did not confirm the change")           // it may have been stored, or may still be
	errTrouble    = errors.New("the broker cannot store anything now")            // its disk is full
	errMajority   = errors.New("the broker's cluster cannot store anything now")  // too few of its servers reach one another
	errConflict   = errors.New("somebody else changed the entry first")           // lost a race; read again
	errPayload    = errors.New("the entry is larger than the broker's limit")     // refused before it was sent
	errIncomplete = errors.New("the broker does not give all entries it has")     // a damaged store
	errNoLetters  = errors.New("there is no stream of dead letters")              // the proxy makes it with the first durable route
	errForeign    = errors.New("the entry is not a registration of its own name") // written by hand
)
