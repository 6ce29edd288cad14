// Package agentd is the agent of one machine: it takes a name in the fabric, keeps the last good routing table on disk,
// serves it to the machine's instances while the broker is away, and routes for programs without the library.
//
// [Join] learns the fabric from the proxy and claims the name; the caller starts a leaf server from what it learned,
// and gives a connection to it to [New].
package agentd
