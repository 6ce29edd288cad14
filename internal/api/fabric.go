package api

// Fabric is GET /v1/fabric: all that a program on another machine needs to take part.
type Fabric struct {
	// Prefix is the first token of every subject.
	Prefix string `json:"prefix" doc:"First token of every subject of this fabric" example:"damrey"`
	// Domain is the JetStream domain of the broker; empty when it has none, and then it can take no agents.
	Domain string `json:"domain" doc:"JetStream domain of the broker; empty when it has none" example:"damrey"`
	// Version of the proxy.
	Version string `json:"version" doc:"Version of the proxy" example:"0.1.0"`
	// NATS are the URLs for clients, as others reach them, those of the answering proxy's broker first. They never carry a user or a password.
	NATS []string `json:"nats" nullable:"false" doc:"Where clients connect, as the asker reaches it" example:"[\"nats://10.1.2.3:4222\"]"`
	// Leaf are the URLs for agents, as others reach them, in the same order. Empty when the broker takes none.
	Leaf []string `json:"leaf" nullable:"false" doc:"Where agents connect, as the asker reaches it" example:"[\"nats://10.1.2.3:7422\"]"`
	// Proxies are the URLs of the REST interfaces of the cluster's proxies, the one that answers first.
	Proxies []string `json:"proxies" nullable:"false" doc:"Where the proxies of the cluster are, the answering one first" example:"[\"http://10.1.2.3:8080\"]"`
	// MaxPayload is the broker's limit in bytes. 0 while the proxy has no connection to it.
	MaxPayload int `json:"max_payload" doc:"The broker's limit for one payload in bytes; 0 while it is away" example:"1048576"`
	// ReadOnly says that this proxy refuses changes.
	ReadOnly bool `json:"read_only,omitempty" doc:"Whether this proxy refuses changes"`
}
