package agentd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

const (
	joinRetry  = time.Second      // between two tries while the proxy is away
	joinRemind = 10 * time.Second // between two lines in the log about it
)

// Join takes the agent's name in the fabric of cfg.Proxy. While the proxy is away it waits and says so, unless the data
// directory tells that this agent held the name before: then it goes on with what it knew. It returns an error at once
// when another agent holds the name ([ErrNameHeld], saying who), when the cluster takes no agents ([ErrNoAgents]), and
// for what waiting does not help; and when ctx ends.
func Join(ctx context.Context, cfg Config) (*Membership, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	client, err := api.New(cfg.Proxy)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	dir, err := cfg.dir()
	if err != nil {
		return nil, err
	}
	state, err := openState(dir, cfg.Log)
	if err != nil {
		return nil, err
	}
	m := &Membership{Name: cfg.Name, Dir: dir, client: client, state: state, claim: newClaim(state.id)}
	if err := m.join(ctx, cfg.Log); err != nil {
		if closeErr := m.Close(); closeErr != nil {
			cfg.Log.Warn().Err(closeErr).Send()
		}
		return nil, err
	}
	return m, nil
}

func (m *Membership) join(ctx context.Context, log zerolog.Logger) error {
	last, err := m.state.loadRecord()
	if err != nil {
		return dirError(m.Dir, err)
	}
	if last.Held && last.Name == m.Name {
		m.client.Learn(last.Fabric.Proxies)
	}
	if err := m.take(ctx, log, last); err != nil {
		return err
	}
	if err := m.state.saveRecord(record{Name: m.Name, Held: true, Fabric: m.Fabric}); err != nil {
		return err
	}
	m.table, err = m.state.loadTable(m.Fabric.Prefix)
	return err
}

// take claims the name, or goes on as a former holder.
func (m *Membership) take(ctx context.Context, log zerolog.Logger, last record) error {
	var said time.Time
	for {
		err := m.attempt(ctx)
		switch {
		case err == nil:
			log.Info().Str("agent", m.Name).Str("proxy", m.client.URL()).Strs("broker", m.Fabric.Leaf).Msg("the agent has its name")
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("agentd: gave up joining the fabric: %w: %w", ctx.Err(), err)
		case !isAway(err):
			return m.refused(err)
		case last.Held && last.Name == m.Name:
			m.Fabric = last.Fabric
			log.Warn().Err(err).Str("agent", m.Name).Strs("broker", m.Fabric.Leaf).
				Msg("the proxy is away; going on with the name and the fabric of the last time")
			return nil
		}
		if time.Since(said) >= joinRemind {
			said = time.Now()
			log.Warn().Err(err).Str("agent", m.Name).Msg("cannot join the fabric yet; trying on")
		}
		wait(ctx, joinRetry/2+rand.N(joinRetry))
	}
}

// attempt reads what the fabric is and claims the name in it.
func (m *Membership) attempt(ctx context.Context) error {
	fabric, err := m.readFabric(ctx)
	if err != nil {
		return err
	}
	if fabric.MaxPayload == 0 {
		return fmt.Errorf("proxy %s: %w", m.client.URL(), errBrokerAway)
	}
	if _, err := m.renew(ctx); err != nil {
		return err
	}
	m.Fabric = fabric
	m.client.Learn(fabric.Proxies)
	return nil
}

func (m *Membership) readFabric(ctx context.Context) (api.Fabric, error) {
	ctx, cancel := context.WithTimeout(ctx, claimTime)
	defer cancel()
	fabric, err := m.client.Fabric(ctx)
	if err != nil {
		return api.Fabric{}, err
	}
	return fabric, checkFabric(fabric, m.client.URL())
}

// checkFabric says what an agent lacks there.
func checkFabric(f api.Fabric, proxy string) error {
	var missing string
	switch {
	case len(f.Leaf) == 0 && f.Domain == "":
		missing = "a leaf node listener and a JetStream domain"
	case len(f.Leaf) == 0:
		missing = "a leaf node listener"
	case f.Domain == "":
		missing = "a JetStream domain"
	default:
		if err := damrey.CheckPrefix(f.Prefix); err != nil {
			return fmt.Errorf("%w: proxy %s: prefix %w; is it a Damrey proxy of this version?", ErrRefused, proxy, err)
		}
		return nil
	}
	return fmt.Errorf("%w: the NATS cluster behind the proxy %s has not got %s; workers connect to it directly, with NATS_URL=%s",
		ErrNoAgents, proxy, missing, cmp.Or(strings.Join(f.NATS, ","), "nats://HOST:4222"))
}

// refused puts an answer that waiting does not change into words.
func (m *Membership) refused(err error) error {
	if !isRefusal(err) {
		if e, ok := errors.AsType[*api.Error](err); ok {
			return fmt.Errorf("%w: %w", ErrRefused, e)
		}
		return err
	}
	if lostErr := m.lost(); lostErr != nil {
		return errors.Join(fmt.Errorf("%w: %w", ErrNameHeld, err), lostErr)
	}
	return fmt.Errorf("%w: %w", ErrNameHeld, err)
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
