// Package damrey is the library for worker authors: small programs on many
// machines work together by messages.
//
// A worker says only what its output is (tag type arg0 arg1 …); an operator
// says in one live table where that goes. An [Instance] is one running process
// of a worker. It resolves routes in process, from its own cached row of the
// table, and publishes straight to the target's NATS subject, so a route costs
// a map lookup and a change of the table reaches it between two messages.
//
// The everyday way is [Instance.Handle] and [Instance.Serve]; the channels of
// [Worker] are for programs that want to read and write messages themselves.
package damrey
