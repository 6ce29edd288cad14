package damrey

import (
	"fmt"
	"time"
)

// Config is what a worker is made of.
type Config struct {
	// Rc is the number of attempts to push a message, at every hop. 0 means 3.
	// Only what surely did not run is pushed again. What is stored, on a durable
	// route or until it is due, is tried until the context is over, or without
	// a deadline for the longer of Timeout and 15 s, whatever this is.
	Rc int
	// Name of the worker, as it is registered at the proxy.
	Name string
	// Timeout bounds one handler call, and is the budget of a request whose
	// context or Message does not say another. 0 means 5 s; the most is 1 h.
	Timeout time.Duration
}

const (
	defaultRc        = 3
	defaultTimeout   = 5 * time.Second
	defaultDrainTime = 10 * time.Second
	defaultQueue     = 4096
)

func (c Config) withDefaults() Config {
	if c.Rc == 0 {
		c.Rc = defaultRc
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	c.Timeout = min(c.Timeout, maxBudget)
	return c
}

func (c Config) validate() error {
	if err := CheckWorkerName(c.Name); err != nil {
		return fmt.Errorf("damrey: Config.Name: %w", err)
	}
	if c.Rc < 0 {
		return fmt.Errorf("damrey: Config.Rc: %d attempts to push; use 1 or more, or 0 for %d", c.Rc, defaultRc)
	}
	if c.Timeout < 0 {
		return fmt.Errorf("damrey: Config.Timeout: %v; use more than 0, or 0 for %v", c.Timeout, defaultTimeout)
	}
	return nil
}
