// Package broker runs NATS inside this process: a Broker is the server with JetStream that a fabric meets at, a Leaf is
// the small server on each machine that local workers connect to and that is linked to the broker. Check looks at a
// server that somebody else runs. No other package imports nats-server.
package broker
