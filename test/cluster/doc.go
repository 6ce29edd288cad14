// Package cluster tests three brokers as one, with real processes: what a
// majority can do, what fewer cannot, and that all goes on by itself.
package cluster
