package bucket

import "errors"

var (
	ErrNoJetStream = errors.New("JetStream is not available") // the server does not answer JetStream requests, or refuses them to this account
	ErrSchema      = errors.New("unreadable schema")          // the bucket's metadata holds something else than a number
	ErrReplicas    = errors.New("too few servers")            // for the number of replicas that was asked for
	ErrUnstable    = errors.New("bucket does not settle")     // another writer undoes every change
)
