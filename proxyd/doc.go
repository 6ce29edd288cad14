// Package proxyd is the proxy: it keeps the registrations of a fabric in a JetStream KV bucket and serves them over REST,
// as the routes of the original system and as resources with entity tags. It also leases the names of agents.
//
// The bucket is the truth and the proxy holds nothing of it, so any number of proxies may serve one bucket. A change is
// answered only after the broker stored it, always by revision: two writers never overwrite each other unseen.
package proxyd
