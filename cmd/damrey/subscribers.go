package main

import (
	"github.com/damrey/damrey/broker"
	"github.com/damrey/damrey/proxyd"
)

// manySubscribers is how many a proxy looks at: more than its fabric should have instances.
const manySubscribers = 1 << 16

// subscribersOf lets the proxy ask the broker in this process; neither knows of the other.
func subscribersOf(b *broker.Broker) func(string) ([]proxyd.Subscriber, int, error) {
	return func(pattern string) (all []proxyd.Subscriber, more int, err error) {
		list, more, err := b.Subscribers(pattern, manySubscribers)
		for _, s := range list {
			all = append(all, proxyd.Subscriber(s))
		}
		return all, more, err
	}
}
