package damrey

import (
	"encoding/json"
	"fmt"
	"time"
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
	// MaxMessages and MaxBytes bound what may be stored for this worker on
	// durable routes; a send past it gets [ErrFull]. An id that is remembered, see
	// [WithID], counts as a message too. 0 means no bound.
	MaxMessages Count `json:"max_messages,omitzero"`
	MaxBytes    Count `json:"max_bytes,omitzero"`
	// Paused holds back what others send to this worker: messages of durable
	// routes wait at the broker, others get [ErrPaused].
	Paused bool `json:"paused,omitzero"`
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
	// Delivery is [Direct] or [Durable]; empty means direct.
	Delivery Delivery `json:"delivery,omitzero"`
	// Attempts is how often a message of a durable route may fail before it goes
	// to the dead letters; 0 means [DefaultAttempts].
	Attempts Attempts `json:"attempts,omitzero"`
	// Backoff is the pause after the first failure, doubled after each further
	// one up to [MaxBackoff], each time between half and one and a half times;
	// 0 means [DefaultBackoff].
	Backoff Duration `json:"backoff,omitzero"`
	// Window is how long an id that the application gave a message of a durable
	// route is remembered, in whole seconds; 0 means [DefaultWindow].
	Window Duration `json:"window,omitzero"`
	// Key of a durable route keeps messages that have an argument in common in
	// their order and runs them one at a time, over all instances; none without.
	Key Key `json:"key,omitzero"`
	// Paused refuses messages of this route with [ErrPaused] at their sender. Of
	// a durable route they are stored and wait.
	Paused bool `json:"paused,omitzero"`
	// Extra are the fields that this version does not know, kept as they were.
	Extra map[string]json.RawMessage `json:"-"`
}

// Delivery says what a route does with a message that nobody takes now.
type Delivery string

const (
	// Direct gives a message to an instance that is there: at most once.
	Direct Delivery = "direct"
	// Durable stores a message at the broker until it was handled: at least once.
	Durable Delivery = "durable"
)

// Defaults of durable routes, and their limits.
const (
	DefaultAttempts = 5
	MaxAttempts     = 1000
	DefaultBackoff  = time.Second
	MaxBackoff      = time.Hour
	DefaultWindow   = 2 * time.Minute
	MaxWindow       = 30 * 24 * time.Hour
	maxKey          = 1000
)

// MPU counts message processing units. In JSON it is a string ("100"), as in
// the original format; a number is read too.
type MPU int

// Batch counts messages. In JSON it is a number; a string is read too.
type Batch int

// Attempts counts. In JSON it is a number; a string is read too.
type Attempts int

// Key names the argument by which messages are kept in order; zero names none.
// In JSON it is the argument's index, from 0; a string is read too.
type Key int

// KeyArg is the key that is the argument of an index, from 0.
func KeyArg(index int) Key { return Key(index + 1) }

// Index of the argument; ok is false when there is no key.
func (k Key) Index() (index int, ok bool) { return int(k) - 1, k != 0 }

// Count counts messages or bytes. In JSON it is a number; a string is read too.
type Count int64

// Duration is written as Go writes it, such as "1m30s".
type Duration time.Duration

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
	if err := checkCounts(r); err != nil {
		return err
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
	return c.validateDelivery(at)
}

func checkCounts(r Registration) error {
	for _, f := range []struct {
		name string
		n    Count
	}{{"max_messages", r.MaxMessages}, {"max_bytes", r.MaxBytes}} {
		if f.n < 0 {
			return &FieldError{Field: f.name, Problem: fmt.Sprintf("%d is negative; use 1 or more, or leave it out for no bound", f.n)}
		}
	}
	return nil
}

func (c Command) validateDelivery(at string) error {
	switch c.Delivery {
	case "", Direct:
		if c.Attempts != 0 || c.Backoff != 0 || c.Window != 0 || c.Key != 0 {
			return &FieldError{Field: at + ".delivery", Problem: `attempts, backoff, window and key are of durable routes; set "delivery": "durable", or leave them out`}
		}
		return nil
	case Durable:
	default:
		return &FieldError{Field: at + ".delivery", Problem: fmt.Sprintf("%s is no delivery; use direct or durable", quoteClip(string(c.Delivery)))}
	}
	if c.Batch > 1 {
		return &FieldError{Field: at + ".batch", Problem: "a durable route stores every message by itself; leave batch out"}
	}
	if err := checkRange(int(c.Attempts), MaxAttempts); err != nil {
		return &FieldError{Field: at + ".attempts", Problem: err.Error()}
	}
	if index, _ := c.Key.Index(); index < -1 || index > maxKey {
		return &FieldError{Field: at + ".key", Problem: fmt.Sprintf("%d is no argument's index; use 0 for the first one, up to %d", index, maxKey)}
	}
	if c.Backoff < 0 || time.Duration(c.Backoff) > MaxBackoff {
		return &FieldError{Field: at + ".backoff", Problem: fmt.Sprintf("%v is out of range; use up to %v, or leave it out for %v",
			time.Duration(c.Backoff), MaxBackoff, DefaultBackoff)}
	}
	if w := time.Duration(c.Window); w != 0 && (w < time.Second || w > MaxWindow) {
		return &FieldError{Field: at + ".window", Problem: fmt.Sprintf("%v is out of range; use 1s to %v, or leave it out for %v", w, MaxWindow, DefaultWindow)}
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

func (c Command) attempts() int {
	if c.Attempts == 0 {
		return DefaultAttempts
	}
	return int(c.Attempts)
}

func (c Command) backoff() time.Duration {
	if c.Backoff == 0 {
		return DefaultBackoff
	}
	return time.Duration(c.Backoff)
}

func (c Command) window() time.Duration {
	if c.Window == 0 {
		return DefaultWindow
	}
	return time.Duration(c.Window)
}
