package broker

import "errors"

var (
	ErrConfig      = errors.New("broker: bad configuration")           // a Config or LeafConfig field holds a value that cannot work
	ErrPort        = errors.New("broker: cannot listen")               // a port is taken, or its address is not ours
	ErrDir         = errors.New("broker: data directory not usable")   // the store is not writable, or another process owns it
	ErrOpenListen  = errors.New("broker: open to everyone")            // a listener beyond loopback without authentication
	ErrStore       = errors.New("broker: nothing can be stored")       // its files cannot be written: a full disk, no file descriptors
	ErrMajority    = errors.New("broker: no majority of the cluster")  // too few of its servers reach one another to store anything
	ErrStart       = errors.New("broker: nats-server did not start")   // nats-server refused; its own words follow
	ErrStopped     = errors.New("broker: nats-server stopped")         // it ended while nobody asked it to
	ErrNotRunning  = errors.New("broker: not running")                 // before Ready, or after Run returned
	ErrRunTwice    = errors.New("broker: Run was called before")       // a Broker or Leaf runs once
	ErrUnsupported = errors.New("broker: external server unsupported") // too old, or without headers
	ErrNoJetStream = errors.New("broker: JetStream is not available")  // the external server does not answer JetStream requests
)
