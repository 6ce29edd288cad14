package agentd

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// ownQuestions counts the questions for the agent's own state, as nats.go's services count theirs.
type ownQuestions struct {
	subject string
	since   time.Time

	mu     sync.Mutex // guards what follows
	asked  int
	failed int
	last   string // error
	took   time.Duration
}

func (q *ownQuestions) count(answer func(*nats.Msg) error, m *nats.Msg) {
	began := time.Now()
	err := answer(m)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.asked++
	q.took += time.Since(began)
	if err != nil {
		q.failed++
		q.last = err.Error()
	}
}

func (q *ownQuestions) stats(info Info) micro.Stats {
	data, err := json.Marshal(info)
	if err != nil {
		data = nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return micro.Stats{Started: q.since, Endpoints: []*micro.EndpointStats{{
		Name: endpointName, Subject: q.subject, NumRequests: q.asked, NumErrors: q.failed, LastError: q.last,
		ProcessingTime: q.took, AverageProcessingTime: q.took / time.Duration(max(1, q.asked)), Data: data,
	}}}
}
