package view

import (
	"errors"
	"fmt"

	"github.com/segmentio/encoding/json" // reads in a third of the time; thousands of beats come in some seconds

	"github.com/damrey/damrey/internal/report"
)

// Parser reads beats, each in the room of the one before. It is not safe for concurrent use.
type Parser struct{ beat report.Beat }

// Parse reads a beat that came on the subject of a worker's instance. Somebody else's may say anything. The beat is good until
// the next one is read.
func (p *Parser) Parse(worker, instance string, data []byte) (*report.Beat, error) {
	if len(data) > report.MaxSize {
		return nil, fmt.Errorf("a beat of %d bytes; at most %d are read", len(data), report.MaxSize)
	}
	b := p.empty()
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

// empty is a beat that has room for routes and says nothing of them.
func (p *Parser) empty() *report.Beat {
	in, out := p.beat.In[:cap(p.beat.In)], p.beat.Out[:cap(p.beat.Out)]
	for n := range in {
		in[n] = report.In{Stay: in[n].Stay[:0]}
	}
	clear(out)
	p.beat = report.Beat{In: in[:0], Out: out[:0]}
	return &p.beat
}
