// Package alarm decides what is wrong with a fabric and when to say so. It knows facts and how much time has passed, and
// does nothing else: no connection, no clock of its own.
//
// A [Book] holds the rules. [Book.Find] says what is wrong in some [Facts]; [Machine.Step] makes of it alarms that are
// pending, fire and are resolved, so that what flaps raises one.
package alarm
