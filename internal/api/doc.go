// Package api holds the documents that the proxy's REST interface speaks, and a client for it. The agent and the command
// line use both, so what one side writes is what the other reads.
package api
