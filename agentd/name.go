package agentd

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/damrey/damrey/internal/api"
)

// keepName renews the claim of the name until ctx ends. It returns an error when the agent must not go on: somebody else
// has the name, or the broker is somewhere else.
func (a *Agent) keepName(ctx context.Context) error {
	k := nameKeeper{Agent: a, fabric: a.member.Fabric}
	if !a.member.held.Load() {
		if err := k.renew(ctx); err != nil {
			return err
		}
	}
	tick := time.NewTicker(a.cfg.Renew)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := k.renew(ctx); err != nil {
			return err
		}
	}
}

// nameKeeper remembers what was said, so that it is said once.
type nameKeeper struct {
	*Agent
	fabric api.Fabric // that the leaf server is linked to
	away   bool       // the proxy cannot be reached
	shared bool       // another process renews with this agent's id
}

func (k *nameKeeper) renew(ctx context.Context) error {
	had := k.member.held.Load()
	again, err := k.member.renew(ctx)
	switch {
	case ctx.Err() != nil:
		return nil
	case err == nil:
		k.granted(had, again)
		return k.lookForBroker(ctx)
	case isRefusal(err):
		return k.ousted(err)
	}
	if !k.away {
		k.away = true
		k.cfg.Log.Warn().Err(err).Msg("the agent's name cannot be renewed; going on and trying on")
	}
	return nil
}

func (k *nameKeeper) granted(had, again bool) {
	if k.away || !had {
		k.cfg.Log.Info().Str("agent", k.member.Name).Msg("the agent's name is renewed at the proxy again")
	}
	if again && !k.shared {
		k.cfg.Log.Error().Str("agent", k.member.Name).Str("id_file", k.member.state.path(idFile)).
			Msg("the name was claimed anew since the last renewal: either the proxies lost all claims, or another process runs with a copy of " +
				"this agent's directory, and requests fail; in that case stop one of them and remove its id file")
	}
	k.away, k.shared = false, again
}

// ousted ends the agent: of two with one name the broker evicts one after the other, and half of all requests fail.
func (k *nameKeeper) ousted(err error) error {
	err = fmt.Errorf("%w: it was taken while this agent could not renew it: %w", ErrNameHeld, err)
	if lostErr := k.member.lost(); lostErr != nil {
		return fmt.Errorf("%w; and %w", err, lostErr)
	}
	return err
}

// lookForBroker asks, while the proxy reaches the broker and the leaf server does not, whether the broker is where it was.
func (k *nameKeeper) lookForBroker(ctx context.Context) error {
	if k.up.Load() {
		return nil
	}
	now, err := k.member.readFabric(ctx)
	known := err == nil && now.MaxPayload > 0 // if not, the next renewal says what is wrong with the proxy
	if !known || sameBroker(now, k.fabric) {
		return nil
	}
	before := k.fabric
	if err := k.member.state.saveRecord(record{Name: k.member.Name, Held: true, Fabric: now}); err != nil {
		return err
	}
	if k.cfg.Relink != nil && sameFabric(now, before) {
		if err := k.cfg.Relink(now.Leaf); err != nil {
			return err
		}
		k.fabric = now
		k.cfg.Log.Info().Strs("broker", now.Leaf).Msg("the broker has other addresses now; linking to those")
		return nil
	}
	return fmt.Errorf("%w: the proxy now names %v (domain %s, prefix %s, max_payload %d) for agents, this one was started with %v (%s, %s, %d); start it again",
		ErrMoved, now.Leaf, now.Domain, now.Prefix, now.MaxPayload, before.Leaf, before.Domain, before.Prefix, before.MaxPayload)
}

// sameBroker: whatever the proxy names is known. A cluster's proxies each name their own broker first.
func sameBroker(now, before api.Fabric) bool {
	unknown := func(leaf string) bool { return !slices.Contains(before.Leaf, leaf) }
	return sameFabric(now, before) && !slices.ContainsFunc(now.Leaf, unknown)
}

// sameFabric compares what else a leaf server is configured with.
func sameFabric(a, b api.Fabric) bool {
	return a.Domain == b.Domain && a.Prefix == b.Prefix && a.MaxPayload == b.MaxPayload
}
