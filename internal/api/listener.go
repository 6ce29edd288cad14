package api

import "time"

// MaxListeners is how many listeners one answer lists at most.
const MaxListeners = 1000

// Listener is a subscription that takes messages of direct routes and is none of a worker: it is not in the queue group of
// the one worker whose messages it takes.
type Listener struct {
	// Subject as it was subscribed.
	Subject string `json:"subject" doc:"Subject or pattern as it was subscribed" example:"damrey.msg.bank.>"`
	// Queue is empty without a queue group: the subscription gets a copy of every message.
	Queue string `json:"queue,omitempty" doc:"Queue group; left out without" example:"audit"`
	// Worker is the one whose messages it takes; empty: all.
	Worker string `json:"worker,omitempty" doc:"The worker whose messages it takes; left out when it takes those of all" example:"bank"`
	// Name of the connection; empty behind an agent, which does not tell it.
	Name string `json:"name,omitempty" doc:"What the connection calls itself; left out where it has no name, and behind an agent" example:"NATS CLI Version 0.3.0"`
	// Agent is the server of the leaf node that the subscription is behind; empty: it is the broker's own client.
	Agent string `json:"agent,omitempty" doc:"The agent, or the server of another leaf node, that it is behind; left out of the broker's own clients" example:"10.1.2.3:4222"`
	// Address of the connection, or of the agent's; empty: it is within the broker's process.
	Address string `json:"address,omitempty" doc:"ip:port of the connection, or of the agent's; left out within the process of the broker" example:"10.1.2.3:41234"`
	// Since is when the connection was made.
	Since time.Time `json:"since" doc:"When the connection was made, by the broker's clock; the subscription may be younger"`
}

// ListenerList is GET /v1/listeners: what the server that this proxy's broker is knows of its own clients and agents.
type ListenerList struct {
	// Known is false where there is no broker in the proxy, which is asked. The lists are empty then.
	Known bool `json:"known" doc:"Whether the proxy knows, which it does of a broker in its own process"`
	// Why says why nothing is known.
	Why string `json:"why,omitempty" doc:"Why nothing is known"`
	// Foreign are those that are no worker's, at most MaxListeners.
	Foreign []Listener `json:"foreign" nullable:"false" doc:"Subscriptions that are no worker's, those without a queue group first; at most 1,000"`
	// More were left out, of Foreign or before it was looked whose they are.
	More int `json:"more,omitempty" doc:"How many subscriptions were left out"`
	// Workers are those that somebody takes messages of who may, with the library or without.
	Workers []string `json:"workers" nullable:"false" doc:"Workers in whose queue group somebody takes their messages, with the library or without"`
}
