package agentd

import "errors"

// What Join and Run return; to be told apart with errors.Is.
var (
	ErrConfig     = errors.New("agentd: bad configuration")            // a Config field holds a value that cannot work
	ErrDir        = errors.New("agentd: data directory not usable")    // not writable, or another agent owns it
	ErrNameHeld   = errors.New("agentd: the agent's name is held")     // another agent has it, at the start or since
	ErrNoAgents   = errors.New("agentd: this cluster takes no agents") // it has no leaf listener or no JetStream domain
	ErrRefused    = errors.New("agentd: the proxy refuses this agent") // it answered, and waiting will not help
	ErrMoved      = errors.New("agentd: the broker moved")             // its leaf listener is elsewhere; join again
	ErrAlreadyRun = errors.New("agentd: Run was called before")        // an agent runs once
	errBrokerAway = errors.New("the proxy has no connection to NATS")  // it answers, and knows no more than we do
	errBroken     = errors.New("the file is broken")                   // it was set aside
)
