package damrey

import (
	"encoding/json"
	"fmt"
)

// Defaults of a registration, and its limits.
const (
	DefaultMPU        = 100 // of a worker: what one instance may have in flight
	DefaultCommandMPU = 1   // of a command: what one message of it costs there
	MaxBatch          = 256
	maxMPU            = 1_000_000
	anyType           = "*" // a command of this name is the default route
)

// Registration is one worker's entry in the routing table.
type Registration struct {
	// MPU (message processing units) is what one instance may have in flight.
	// 1 makes it serial; 0 means [DefaultMPU].
	MPU MPU `json:"mpu,omitzero"`
	// Name of the worker; see [CheckWorkerName].
	Name string `json:"name"`
	// Agent pins: only instances connected to the agent of this name receive.
	// Empty: instances anywhere share the load.
	Agent string `json:"agent"`
	// Commands say where this worker's output goes. A type stands once.
	Commands []Command `json:"commands"`
	// Extra are the fields that this version does not know, kept as they were.
	Extra map[string]json.RawMessage `json:"-"`
}

// Command is one row of a worker's routing table: messages of the type Name
// that this worker sends go to Worker.
type Command struct {
	// Name is the type; "*" takes every type that has no row of its own.
	Name string `json:"name"`
	// Worker is the name of the worker that gets these messages.
	Worker string `json:"worker"`
	// MPU is what one message costs at the receiving instance, where more than
	// that instance has counts as all of it; 0 means [DefaultCommandMPU].
	MPU MPU `json:"mpu,omitzero"`
	// Batch is how many sends that are waiting anyway may leave in one NATS
	// message; 0 and 1 mean that each leaves alone, [MaxBatch] is the most.
	Batch Batch `json:"batch,omitzero"`
	// Extra are the fields that this version does not know, kept as they were.
	Extra map[string]json.RawMessage `json:"-"`
}

// MPU counts message processing units. In JSON it is a string ("100"), as in
// the original format; a number is read too.
type MPU int

// Batch counts messages. In JSON it is a number; a string is read too.
type Batch int

// Validate says what is wrong with r as a *[FieldError], or nil.
func (r Registration) Validate() error {
	if err := CheckWorkerName(r.Name); err != nil {
		return &FieldError{Field: "name", Problem: err.Error()}
	}
	if err := checkAgent(r.Agent); err != nil {
		return &FieldError{Field: "agent", Problem: err.Error()}
	}
	if err := checkRange(int(r.MPU), maxMPU); err != nil {
		return &FieldError{Field: "mpu", Problem: err.Error()}
	}
	seen := make(map[string]int, len(r.Commands))
	for i, c := range r.Commands {
		if err := c.validate(fmt.Sprintf("commands[%d]", i)); err != nil {
			return err
		}
		if j, dup := seen[c.Name]; dup {
			return &FieldError{
				Field: fmt.Sprintf("commands[%d].name", i),
				Problem: fmt.Sprintf("type %q stands twice: commands[%d] sends it to %q, commands[%d] to %q; keep one",
					c.Name, j, r.Commands[j].Worker, i, c.Worker),
			}
		}
		seen[c.Name] = i
	}
	return nil
}

func (c Command) validate(at string) error {
	if c.Name != anyType {
		if err := CheckName(c.Name); err != nil {
			return &FieldError{Field: at + ".name", Problem: err.Error()}
		}
	}
	if err := CheckWorkerName(c.Worker); err != nil {
		return &FieldError{Field: at + ".worker", Problem: err.Error()}
	}
	if err := checkRange(int(c.MPU), maxMPU); err != nil {
		return &FieldError{Field: at + ".mpu", Problem: err.Error()}
	}
	if err := checkRange(int(c.Batch), MaxBatch); err != nil {
		return &FieldError{Field: at + ".batch", Problem: err.Error()}
	}
	return nil
}

func checkRange(n, most int) error {
	if n < 0 || n > most {
		return fmt.Errorf("%d is out of range; use 1 to %d, or leave it out for the default", n, most)
	}
	return nil
}

// Capacity is MPU with its default.
func (r Registration) Capacity() int {
	if r.MPU == 0 {
		return DefaultMPU
	}
	return int(r.MPU)
}

// Cost is MPU with its default.
func (c Command) Cost() int {
	if c.MPU == 0 {
		return DefaultCommandMPU
	}
	return int(c.MPU)
}
