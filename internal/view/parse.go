package view

import (
	"errors"
	"fmt"

	"github.com/segmentio/encoding/json" // reads in a third of the time; thousands of beats come in some seconds

	"github.com/damrey/damrey/internal/report"
)

// Parse reads a beat that came on the subject of a worker's instance. Somebody else's may say anything.
func Parse(worker, instance string, data []byte) (*report.Beat, error) {
	if len(data) > report.MaxSize {
		return nil, fmt.Errorf("a beat of %d bytes; at most %d are read", len(data), report.MaxSize)
	}
	b := new(report.Beat)
	if err := json.Unmarshal(data, b); err != nil {
		return nil, fmt.Errorf("a beat that cannot be read: %w", err)
	}
	if b.Worker != worker || b.Instance != instance {
		return nil, fmt.Errorf("a beat of %q %q came as one of %q %q", b.Worker, b.Instance, worker, instance)
	}
	switch b.State {
	case report.Waiting, report.Standby, report.Ready, report.Draining, report.Left:
	default:
		return nil, fmt.Errorf("a beat with the unknown state %q", b.State)
	}
	if len(b.In) > report.MaxRoutes+1 || len(b.Out) > report.MaxRoutes+1 {
		return nil, errors.New("a beat with more routes than an instance tells apart")
	}
	return b, nil
}
