package chaos

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// Config says how to run.
type Config struct {
	// Program is the damrey that all processes are run from.
	Program string
	// For is how long faults are made.
	For time.Duration
	// Seed decides which faults come when and where.
	Seed uint64
	// Faults by name, see [Faults]; empty means all.
	Faults []string
	// Gap is about how long all is well between two faults.
	Gap time.Duration
	// Break makes the workers wrong: one of [Breaks]. The run has to find it.
	Break string
	// Log tells what goes on.
	Log zerolog.Logger
}

// The ways in which workers can be wrong.
const (
	// BreakAckEarly acknowledges before the output is sent.
	BreakAckEarly = "ack-early"
	// BreakNoDedupe gives the output a new id each time.
	BreakNoDedupe = "no-dedupe"
)

// Breaks are the values of Config.Break, besides none.
func Breaks() []string { return []string{BreakAckEarly, BreakNoDedupe} }

// ErrConfig is what Run returns for a Config that makes no sense.
var ErrConfig = errors.New("chaos: wrong configuration")

// Check looks at the values.
func (c Config) Check() error {
	switch {
	case runtime.GOOS != "linux":
		return fmt.Errorf("%w: it freezes processes and limits their files as Linux does, and this is %s", ErrConfig, runtime.GOOS)
	case c.For <= 0:
		return fmt.Errorf("%w: --minutes: use more than 0", ErrConfig)
	case c.Gap < 0:
		return fmt.Errorf("%w: --gap %v: use 0 or more", ErrConfig, c.Gap)
	case c.Break != "" && !slices.Contains(Breaks(), c.Break):
		return fmt.Errorf("%w: --break %q: use %s", ErrConfig, c.Break, strings.Join(Breaks(), " or "))
	}
	for _, name := range c.Faults {
		if !slices.Contains(Faults(), name) {
			return fmt.Errorf("%w: --faults: no fault %q; there are %s", ErrConfig, name, strings.Join(Faults(), ", "))
		}
	}
	return nil
}
