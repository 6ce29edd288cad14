package agentd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

const (
	claimTime   = 5 * time.Second // for one try at the proxy
	releaseTime = 2 * time.Second // for giving the name back
)

// Membership is an agent's place in a fabric: its name, what it knows of the fabric, and its data directory. Get it from
// [Join], give it to one Agent, and Close it after that has run. Only LastTable and the fields may be used by several
// goroutines.
type Membership struct {
	// Name of the agent, which the leaf server must have too.
	Name string
	// Fabric as the proxy describes it, or as it did the last time when the proxy is away.
	Fabric api.Fabric
	// Dir is the data directory in use.
	Dir string

	client *api.Client
	state  *state
	claim  api.Claim
	table  *damrey.Table
	since  time.Time   // when this process first held the name, as the proxy said
	tried  bool        // a claim may have been stored
	held   atomic.Bool // the proxy has granted the name to this process
}

// LastTable is the last good routing table of an earlier run; nil when there is none.
func (m *Membership) LastTable() *damrey.Table { return m.table }

// Close gives back the name, unless Run has, and the data directory.
func (m *Membership) Close() error {
	err := m.release()
	m.client.Close()
	m.state.close()
	return err
}

// renew claims the name once more. again is whether another process has claimed it with this agent's id meanwhile, or the
// proxies have lost all claims.
func (m *Membership) renew(ctx context.Context) (again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, claimTime)
	defer cancel()
	m.tried = true
	lease, err := m.client.ClaimAgent(ctx, m.Name, m.claim)
	if err != nil {
		return false, err
	}
	again = m.held.Swap(true) && !lease.Since.Equal(m.since)
	m.since = lease.Since
	return again, nil
}

// lost forgets the name, so that a restart while the proxy is away does not go on with it.
func (m *Membership) lost() error {
	m.tried = false
	m.held.Store(false)
	return m.state.saveRecord(record{Name: m.Name, Fabric: m.Fabric})
}

// release gives the name back. The record keeps that it was held: nobody else is expected to take it.
func (m *Membership) release() error {
	if !m.tried {
		return nil
	}
	m.tried = false
	m.held.Store(false)
	ctx, cancel := context.WithTimeout(context.Background(), releaseTime)
	defer cancel()
	err := m.client.ReleaseAgent(ctx, m.Name, m.claim.ID)
	if err != nil && !isRefusal(err) { // another has it already, which is what releasing is for
		return fmt.Errorf("agentd: the name %q stays claimed until its lease is over: %w", m.Name, err)
	}
	return nil
}

// isRefusal: another agent holds the name.
func isRefusal(err error) bool {
	e, ok := errors.AsType[*api.Error](err)
	return ok && e.Status == http.StatusConflict
}

// isAway: the proxy or its broker cannot be reached now, and later may be.
func isAway(err error) bool {
	e, ok := errors.AsType[*api.Error](err)
	if !ok {
		return !errors.Is(err, ErrNoAgents) && !errors.Is(err, ErrRefused)
	}
	return e.Status >= http.StatusInternalServerError || e.Status == http.StatusTooManyRequests || e.Status == http.StatusRequestTimeout
}

func newClaim(id string) api.Claim {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown" // only for people
	}
	return api.Claim{ID: id, Host: host, PID: os.Getpid()}
}
