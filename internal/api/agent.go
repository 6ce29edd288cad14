package api

import "time"

// Claim is the body of PUT /v1/agents/{name}: who wants to be the agent of this name. A claim holds for the lease and has
// to be renewed by putting it again. The same id takes over at once; another id is refused while the lease runs.
type Claim struct {
	// ID is random and kept on the agent's disk, so that it is the same after a restart.
	ID string `json:"id" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9_-]+$" patternDescription:"letters, digits, _ and -" doc:"Random id that the agent keeps on disk" example:"Zb1xQ0v6"`
	// Host is the machine's name, for people.
	Host string `json:"host" maxLength:"255" doc:"Name of the agent's machine" example:"machine-1"`
	// PID is the agent's process, for people.
	PID int `json:"pid" minimum:"0" doc:"Process id of the agent" example:"4711"`
	// Since is when this process first held the name. The proxy fills it in; what a caller sends is ignored.
	Since time.Time `json:"since,omitzero" readOnly:"true" doc:"When this process first held the name"`
}

// Lease is the answer to a claim that was granted.
type Lease struct {
	Claim
	// Seconds for which the claim holds, counted from when the broker stored it.
	Seconds float64 `json:"lease_seconds" doc:"How long the claim holds unless it is renewed" example:"10"`
}

// Agent is one entry of GET /v1/agents. It has no id: who knows the id can take the name over.
type Agent struct {
	// Name of the agent, its advertised address.
	Name string `json:"name" doc:"Name of the agent" example:"10.1.2.3:4222"`
	// Host is the machine's name.
	Host string `json:"host" doc:"Name of its machine"`
	// PID is the agent's process.
	PID int `json:"pid" doc:"Its process id"`
	// Since is when this process first held the name.
	Since time.Time `json:"since" doc:"When this process first held the name"`
	// Renewed is when the broker stored the last renewal.
	Renewed time.Time `json:"renewed" doc:"When the claim was last renewed, by the broker's clock"`
	// Held is false when the lease has run out, so that anyone may claim the name.
	Held bool `json:"held" doc:"Whether the lease still runs"`
	// State is what its beats say, or lost; empty while none was heard.
	State string `json:"state,omitempty" enum:"ready,draining,left,lost,waiting,standby" doc:"What its beats say; left out while none was heard"`
	// Version of its program.
	Version string `json:"version,omitempty" doc:"Version of its program"`
	// Started is when it did, by its own clock.
	Started time.Time `json:"started,omitzero" doc:"When it started"`
	// Heard is when its last beat came.
	Heard time.Time `json:"heard,omitzero" doc:"When its last beat came"`
	// Skew is how far its clock is ahead of the proxy's.
	Skew float64 `json:"skew_seconds,omitempty" doc:"How far its clock is ahead of the proxy's"`
	// Instances are those connected to it.
	Instances int `json:"instances" doc:"Instances that are connected to it"`
}

// AgentList is GET /v1/agents.
type AgentList struct {
	// Agents, by name.
	Agents []Agent `json:"agents" nullable:"false" doc:"The agents whose names were claimed, by name"`
	// Damaged are claims that the proxy could not read.
	Damaged []Damaged `json:"damaged,omitempty" doc:"Claims that cannot be read; the next claim of that name replaces them"`
}
